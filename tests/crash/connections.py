"""Which adapters join each agency's software to its node: settings of the nodes, and what the software is given."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from adapters.rest.settings import RestSettings
from adapters.rest.tokens import Scope, Tokens
from congvan.demo.programs import free_port
from node.settings import SETTINGS_FILE, NodeFolder
from runtime.clock import utc_now
from runtime.files import write_file
from tests.crash.load import CODES, UNGUARDED

#: Seconds that a webhook waits for an answer.
PUSH_SECONDS: Final = 2.0
#: No clock of these runs makes a token expire.
_VALID: Final = timedelta(days=3650)
SYSTEM_ID: Final = "crash.system.01"
_FILEDROP: Final = "[adapters.filedrop]\n"


class Kind(StrEnum):
    """How software is joined to its node."""

    FILEDROP = "filedrop"
    REST = "rest"
    VXP = "vxp"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What software of one kind needs: where its node listens, or it does itself, and by what it is known."""

    kind: Kind
    host: str = ""
    port: int = 0
    secret: str = ""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"


def shared_out(kinds: Sequence[Kind]) -> dict[str, tuple[Kind, ...]]:
    """The kinds of each agency: in turn, from the beginning again where there are less than agencies."""
    shared: dict[str, list[Kind]] = {code: [] for code in CODES}
    for place in range(max(len(kinds), len(CODES))):
        own, kind = shared[CODES[place % len(CODES)]], kinds[place % len(kinds)]
        if kind not in own:
            own.append(kind)
    return {code: tuple(own) for code, own in shared.items()}


def connect(folder: Path, code: str, kinds: Sequence[Kind], *, isolated: bool) -> tuple[Access, ...]:
    """Join the software of `code` to its node, whose `folder` is set up, by `kinds`.

    The first takes what comes, each further one what comes from one of the other agencies. The first that can sends; if
    none can, there is a filedrop that gets nothing. `isolated`: each has a process of its own.
    """
    accesses = [_access(folder, kind, _host(code, place)) for place, kind in enumerate(kinds)]
    tables = []
    for place, access in enumerate(accesses):
        rules = f"senders = [{json.dumps(_others(code)[place - 1])}]\n" if place else ""
        tables.append(_table(folder, code, access) + rules + ("process = true\n" if isolated else ""))
    if all(kind is Kind.WEBHOOK for kind in kinds):
        accesses.insert(0, Access(kind=Kind.FILEDROP))
        tables.append(_table(folder, code, accesses[0]) + "codes = []\n")
    settings = folder / SETTINGS_FILE
    text = settings.read_text(encoding="utf-8").replace(_FILEDROP, "", 1)
    write_file(settings, "\n".join((text, *tables, *_guards(code))).encode())
    return tuple(accesses)


def _others(code: str) -> tuple[str, ...]:
    return tuple(other for other in reversed(CODES) if other != code)


def _host(code: str, place: int) -> str:
    """An address for each listener: two never ask for one port, and no connection to elsewhere takes its own there."""
    return f"127.0.{1 + CODES.index(code)}.{1 + place}"


def _access(folder: Path, kind: Kind, host: str) -> Access:
    if kind is Kind.FILEDROP:
        return Access(kind=kind)
    if kind is Kind.REST:
        tokens = Tokens(RestSettings().tokens(NodeFolder(folder).adapter("rest")), utc_now)
        token = tokens.add("dms", scopes=tuple(Scope), expires_at=utc_now() + _VALID).text
        return Access(kind=kind, host=host, port=free_port(host), secret=token)
    secret = secrets.token_hex(16)
    write_file(folder / f"{kind}.secret", secret.encode())
    return Access(kind=kind, host=host, port=free_port(host), secret=secret)


def _table(folder: Path, code: str, access: Access) -> str:
    secret_file = json.dumps(str((folder / f"{access.kind}.secret").resolve()))
    match access.kind:
        case Kind.FILEDROP:
            return f"{_FILEDROP}poll_seconds = 0.1\nsettle_seconds = 0.1\n"
        case Kind.REST:
            return f'[adapters.rest]\nlisten = "{access.address}"\n'
        case Kind.VXP:
            system = f'system_id = "{SYSTEM_ID}", secret_file = {secret_file}, codes = ["{code}"]'
            return f'[adapters.vxp]\nlisten = "{access.address}"\nsystems.crash = {{ {system} }}\n'
        case Kind.WEBHOOK:
            links = _host(code, len(Kind))
            return (
                f'[adapters.webhook]\nurl = "{access.url}/dms"\nsecret_file = {secret_file}\n'
                f'listen = "{links}:{free_port(links)}"\ntimeout_seconds = {PUSH_SECONDS}\n'
            )


def _guards(code: str) -> Iterator[str]:
    """Of one node none, so that what it lets through is for the others' to refuse."""
    if code == UNGUARDED:
        yield "[guards.secrecy]\nenabled = false\n"
    else:
        yield "[guards.file-types]\n"
        yield "[guards.pdf-signatures]\n"
