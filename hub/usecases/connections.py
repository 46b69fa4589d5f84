"""Connections: added, suspended, resumed, given one-time tokens; each change is one version of the directory."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cryptography import x509
from yarl import URL

from certs.enrolment_token import EnrolmentToken
from hub.store import agencies, audit_log, connections, enrolments, pushing, watching
from hub.store.audit_log import AuditEntry
from hub.store.connections import ConnectionRow
from hub.store.metadata import Transaction
from hub.store.pushing import PushRow
from hub.store.watching import WatchRow
from hub.usecases.directory import DirectoryPublisher
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected

_ID: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", re.ASCII)

#: Characters of a name; the longest real ones have under 200.
LONGEST_NAME: Final = 500

#: Rows of a listing that are in memory at a time.
PAGE: Final = 500
#: Audit entries that a view shows.
HISTORY: Final = 10

_NEVER_ENROLLED: Final = WatchRow(fetched_at=None, silent_since=None)

#: How the audit log names what led to a status.
DEEDS: Final = {EntryStatus.ACTIVE: "resumed", EntryStatus.SUSPENDED: "suspended", EntryStatus.RETIRED: "retired"}


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A one-time token, in the only moment in which anybody sees its text."""

    text: str = field(repr=False)
    connection: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenMint:
    """Makes tokens that name the hub whose root is `root`; `random_bytes` is `secrets.token_bytes` outside tests."""

    root: x509.Certificate = field(repr=False)
    lifetime: timedelta
    random_bytes: Callable[[int], bytes]

    def issue(
        self, transaction: Transaction, connection: str, now: datetime, *, withdraw_seals: bool = False
    ) -> IssuedToken:
        """A token for `connection`; those that it has and did not use are void from now on."""
        token = EnrolmentToken.new(self.root, self.random_bytes)
        expires_at = now + self.lifetime
        enrolments.issue(
            transaction,
            token.secret_digest,
            connection,
            withdraw_seals=withdraw_seals,
            at=now,
            expires_at=expires_at,
        )
        return IssuedToken(token.encode(), connection, expires_at)


@dataclass(frozen=True, slots=True)
class EnrolmentState:
    """How the enrolment of a connection stands: until when its newest token can be used, when it was."""

    token_expires_at: datetime | None
    enrolled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedConnection:
    """A connection in a listing, and how its fetching stands."""

    row: ConnectionRow
    watch: WatchRow


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A connection as an operator looks at it."""

    row: ConnectionRow
    watch: WatchRow
    push: PushRow | None
    codes: tuple[AgencyCode, ...]
    seals: tuple[x509.Certificate, ...]
    enrolment: EnrolmentState
    history: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What an order did: the version of the directory that tells of it; None if everything stood so already."""

    subject: str
    status: EntryStatus
    version: int | None


@dataclass(frozen=True, slots=True)
class ConnectionRegister:
    """The operator's hand on the connections. `actor` names the person in the audit log."""

    database: Database
    publisher: DirectoryPublisher
    mint: TokenMint
    clock: Clock

    async def add(self, connection: str, name: str, *, actor: str) -> IssuedToken:
        """Add a connection. Raises `connection-id`, `connection-exists`."""
        now = self.clock()

        def work(transaction: Transaction) -> IssuedToken:
            create_connection(transaction, connection, name, at=now)
            self.publisher.publish(transaction, now, connections=(connections.entry(transaction, connection),))
            audit_log.note(transaction, AuditEntry(now, actor, "connection.added", connection, {"name": name}))
            return self.mint.issue(transaction, connection, now)

        return await self.database.write(work)

    async def set_status(self, connection: str, status: EntryStatus, *, actor: str) -> Change:
        """Suspend or resume a connection. Raises `connection-unknown`."""
        now = self.clock()

        def work(transaction: Transaction) -> Change:
            if existing(transaction, connection).status is status:
                return Change(connection, status, None)
            connections.set_status(transaction, connection, status)
            if status is EntryStatus.ACTIVE:
                # It could not fetch until now.
                watching.begin(transaction, connection, at=now)
            version = self.publisher.publish(
                transaction, now, connections=(connections.entry(transaction, connection),)
            )
            audit_log.note(
                transaction, AuditEntry(now, actor, f"connection.{DEEDS[status]}", connection, {"version": version})
            )
            return Change(connection, status, version)

        return await self.database.write(work)

    async def set_push(self, connection: str, url: str | None, *, actor: str) -> None:
        """Push what waits for a connection to its node at `url`; None: push no more, it fetches.

        Raises `connection-unknown`, `push-address`.
        """
        now = self.clock()
        address = None if url is None else _push_address(url)

        def work(transaction: Transaction) -> None:
            existing(transaction, connection)
            if address is None:
                pushing.remove(transaction, connection)
            else:
                pushing.put(transaction, connection, address, at=now)
            action = "connection.push" if address else "connection.push-off"
            audit_log.note(transaction, AuditEntry(now, actor, action, connection, {"url": address} if address else {}))

        await self.database.write(work)

    async def new_token(self, connection: str, *, withdraw_seals: bool, actor: str) -> IssuedToken:
        """A token to enrol the connection again; its use replaces the TLS certificate that it has.

        With `withdraw_seals` its earlier seal certificates cease to count at that moment, for a key in wrong hands.
        Without, they go on, so that what is under way can still be verified. Raises `connection-unknown`.
        """
        now = self.clock()

        def work(transaction: Transaction) -> IssuedToken:
            existing(transaction, connection)
            detail = {"withdraw_seals": withdraw_seals}
            audit_log.note(transaction, AuditEntry(now, actor, "connection.token", connection, detail))
            return self.mint.issue(transaction, connection, now, withdraw_seals=withdraw_seals)

        return await self.database.write(work)

    async def view(self, connection: str) -> ConnectionView:
        """Everything about one connection. Raises `connection-unknown`."""

        def question(transaction: Transaction) -> ConnectionView:
            row = existing(transaction, connection)
            entry = connections.entry(transaction, connection)
            return ConnectionView(
                row=row,
                watch=_watched(transaction, [row])[0].watch,
                push=pushing.find(transaction, connection),
                codes=agencies.served_by(transaction, connection),
                seals=tuple(x509.load_der_x509_certificate(certificate) for certificate in entry.seal_certificates),
                enrolment=enrolment_state(transaction, connection),
                history=tuple(audit_log.latest(transaction, connection, limit=HISTORY)),
            )

        return await self.database.read(question)

    async def listing(self) -> AsyncGenerator[ListedConnection, None]:
        """All connections by id, read page by page."""
        after = ""
        while listed := await self.database.read(partial(_page, after=after)):
            for each in listed:
                yield each
            after = listed[-1].row.connection


def _page(transaction: Transaction, after: str) -> list[ListedConnection]:
    return _watched(transaction, connections.page(transaction, after=after, limit=PAGE))


def _watched(transaction: Transaction, rows: Sequence[ConnectionRow]) -> list[ListedConnection]:
    watched = watching.rows(transaction, [row.connection for row in rows])
    return [ListedConnection(row, watched.get(row.connection, _NEVER_ENROLLED)) for row in rows]


def create_connection(transaction: Transaction, connection: str, name: str, *, at: datetime) -> None:
    """Add the row of a connection. Raises `connection-id`, `connection-exists`, `name-malformed`."""
    if not _ID.fullmatch(connection):
        raise Rejected(
            "connection-id",
            f"{connection!r} is no connection id: 1 to 64 letters, digits, dots, hyphens or underscores.",
            mend="Choose a short id, such as H23 or hai-duong.",
        )
    if connections.find(transaction, connection) is not None:
        raise Rejected(
            "connection-exists",
            f"There is a connection {connection} already.",
            mend=f"To let it serve an agency as well, add that with --served-by {connection}.",
        )
    require_name(name)
    connections.add(transaction, connection, name, at=at)


def _push_address(text: str) -> str:
    """The origin of a push endpoint. Raises `push-address`."""
    try:
        url = URL(text)
        bare = url.path in ("", "/") and not (url.query_string or url.fragment or url.user or url.password)
        if url.scheme == "https" and url.host and bare:
            return str(url.origin())
    except ValueError:
        pass
    raise Rejected(
        "push-address",
        f"{text[:200]!r} is no address to push to.",
        mend="Write https://name:port, as the node's [node.push] listen has it.",
    )


def require_name(name: str) -> None:
    """Pass for a name that people can read in a table, a log and a receipt; else `name-malformed`."""
    if not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        raise Rejected(
            "name-malformed",
            f"{name[:40]!r} is no name: it has 1 to {LONGEST_NAME} characters, all of them printable, on one line.",
            mend="Give the name as it stands on the agency's letterhead.",
        )


def existing(transaction: Transaction, connection: str) -> ConnectionRow:
    """The connection. Raises `connection-unknown`."""
    row = connections.find(transaction, connection)
    if row is None:
        raise Rejected(
            "connection-unknown",
            f"There is no connection {connection}.",
            mend="`congvan hub connection list` shows them.",
        )
    return row


def enrolment_state(transaction: Transaction, connection: str) -> EnrolmentState:
    token = enrolments.latest(transaction, connection)
    enrolled = connections.enrolled_at(transaction, connection)
    unused = token is not None and token.used_at is None
    return EnrolmentState(token.expires_at if token and unused else None, enrolled)
