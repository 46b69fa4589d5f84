"""The tokens that let software in: what each may do, for which agencies, until when. Only their digests are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.clock import Clock
from runtime.files import make_private_folder, others_reach, storage_errors, write_file
from runtime.locks import exclusive
from schemas.codes import AgencyCode
from schemas.directory import prefix_covers
from schemas.errors import Rejected, Unavailable

#: A token is `congvan-rest_<id>_<secret>`: a scanner of leaked secrets knows it by its beginning.
_KIND: Final = "congvan-rest"
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_NAME_LENGTH: Final = 64


class Scope(StrEnum):
    """What a token lets its bearer do."""

    SUBMIT = "submit"
    OVERRIDE = "override"
    RECEIVE = "receive"
    STATUS = "status"
    SENT = "sent"
    DIRECTORY = "directory"
    EVENTS = "events"
    UNITS = "units"


class _Kept(BaseModel):
    """A token as the file keeps it: `digest` is the SHA-256 of the secret, which is enough for 256 random bits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    digest: str
    scopes: tuple[Scope, ...]
    agencies: tuple[str, ...]
    created_at: datetime
    expires_at: datetime


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[_Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token gives: its scopes, for `agencies` and all below them; for every agency of the node if empty."""

    token_id: str
    name: str
    scopes: frozenset[Scope]
    agencies: tuple[AgencyCode, ...]
    created_at: datetime
    expires_at: datetime

    def covers(self, code: AgencyCode) -> bool:
        return not self.agencies or any(prefix_covers(agency.value, code) for agency in self.agencies)

    def covered(self, codes: Sequence[AgencyCode]) -> tuple[AgencyCode, ...]:
        return tuple(code for code in codes if self.covers(code))


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made. Its `text` is shown once and kept nowhere."""

    grant: Grant
    text: str = field(repr=False)


class TokenUnknown(Rejected):
    """There is no such token, or it has expired: the bearer is nobody."""


class Tokens:
    """The tokens in the file `path`. Commands change them beside a running adapter, which sees it at once."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._seen: tuple[int, int, int] | None = None
        self._kept: dict[str, _Kept] = {}

    def grant(self, text: str) -> Grant:
        """What the bearer of `text` may do.

        Raises TokenUnknown: `token-unknown`, `token-expired`; and as `grants` does.
        """
        kind, _, rest = text.partition("_")
        token_id, _, secret = rest.partition("_")
        self._refresh()
        kept = self._kept.get(token_id)
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        # One comparison whether there is such an id or not.
        known = hmac.compare_digest(digest, kept.digest if kept else "0" * 64)
        if kept is None or not known or kind != _KIND:
            raise TokenUnknown("token-unknown", "The token is none of this node's.", mend="Ask for one: see the docs.")
        if self._clock() >= kept.expires_at:
            raise TokenUnknown(
                "token-expired",
                f"The token {kept.name} has expired.",
                mend="Make another one: congvan node token add",
            )
        return _grant(kept)

    def grants(self) -> list[Grant]:
        """All tokens, expired ones too, in the order they were made.

        Raises Rejected: `tokens-open`, if others can read the file; Unavailable: `tokens-damaged`.
        """
        self._refresh()
        return [_grant(kept) for kept in self._kept.values()]

    def add(
        self, name: str, *, scopes: Sequence[Scope], agencies: Sequence[AgencyCode] = (), expires_at: datetime
    ) -> NewToken:
        """Make a token. Raises Rejected: `token-name`, `token-scopes`, `token-expiry`, `tokens-busy`."""
        now = self._clock()
        if not (0 < len(name) <= _NAME_LENGTH and name.isprintable() and name.strip() == name):
            raise Rejected(
                "token-name", f"{name[:80]!r} is no name for a token.", mend="Take a word or two, as in dms."
            )
        if not scopes:
            raise Rejected("token-scopes", "The token would give nothing.", mend=f"Give scopes: {', '.join(Scope)}.")
        if expires_at <= now:
            raise Rejected("token-expiry", "The token would have expired already.", mend="Let it live longer.")
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        with self._changing():
            if any(kept.name == name for kept in self._kept.values()):
                raise Rejected(
                    "token-name", f"There is a token {name!r} already.", mend="Revoke it, or take another name."
                )
            kept = _Kept(
                id=secrets.token_hex(_ID_BYTES),
                name=name,
                digest=hashlib.sha256(secret.encode()).hexdigest(),
                scopes=tuple(dict.fromkeys(scopes)),
                agencies=tuple(code.value for code in agencies),
                created_at=now,
                expires_at=expires_at,
            )
            self._write([*self._kept.values(), kept])
        return NewToken(_grant(kept), f"{_KIND}_{kept.id}_{secret}")

    def revoke(self, name: str) -> Grant:
        """End the token `name` (or with that id) at once. Raises Rejected: `token-unknown`, `tokens-busy`."""
        with self._changing():
            found = next((kept for kept in self._kept.values() if name in (kept.name, kept.id)), None)
            if found is None:
                raise Rejected(
                    "token-unknown", f"There is no token {name[:80]!r}.", mend="See them: congvan node token list"
                )
            self._write([kept for kept in self._kept.values() if kept is not found])
        return _grant(found)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        make_private_folder(self._path.parent)
        busy = Unavailable("tokens-busy", "Another command is changing the tokens.", mend="Try again in a moment.")
        with exclusive(self._path.with_name(f".{self._path.name}.lock"), busy):
            self._refresh()
            yield

    def _write(self, kept: Sequence[_Kept]) -> None:
        write_file(self._path, _File(tokens=tuple(kept)).model_dump_json(indent=2).encode() + b"\n")

    def _refresh(self) -> None:
        """Read the file again if it is not what was read before: a stat for each request, a read for each change."""
        with storage_errors(self._path):
            try:
                facts = self._path.stat()
            except FileNotFoundError:
                self._seen, self._kept = None, {}
                return
            state = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
            if state == self._seen:
                return
            if others_reach(facts):
                raise Rejected("tokens-open", f"{self._path} can be reached by others.", mend="chmod 600 it.")
            content = self._path.read_bytes()
        try:
            self._kept = {kept.id: kept for kept in _File.model_validate_json(content).tokens}
        except ValidationError as error:
            raise Unavailable(
                "tokens-damaged",
                f"{self._path} is no file of tokens.",
                mend="Take it from a backup, or remove it and make new tokens.",
            ) from error
        self._seen = state


def _grant(kept: _Kept) -> Grant:
    return Grant(
        token_id=kept.id,
        name=kept.name,
        scopes=frozenset(kept.scopes),
        agencies=tuple(map(AgencyCode, kept.agencies)),
        created_at=kept.created_at,
        expires_at=kept.expires_at,
    )
