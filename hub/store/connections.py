"""Connections: the nodes that agencies are served by, and the certificates that they are known by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update

from hub.store.directory_tables import client_certificates, connections, seal_certificates
from hub.store.metadata import Transaction
from runtime.columns import insert_or
from runtime.prepared import Prepared
from schemas.directory import ConnectionEntry, EntryStatus
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Whose a TLS certificate is, until when, and how that connection stands."""

    connection: str
    not_after: datetime
    status: EntryStatus


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    connection: str
    name: str
    status: EntryStatus
    created_at: datetime


def add(transaction: Transaction, connection: str, name: str, *, at: datetime) -> None:
    """Add a connection. The caller has seen that the id is free."""
    transaction.execute(
        insert(connections).values(connection=connection, name=name, status=EntryStatus.ACTIVE, created_at=at)
    )


def find(transaction: Transaction, connection: str) -> ConnectionRow | None:
    rows = _page(transaction, after="", limit=1, only=connection)
    return rows[0] if rows else None


def page(transaction: Transaction, *, after: str, limit: int) -> list[ConnectionRow]:
    """The next `limit` connections whose ids come after `after`, by id."""
    return _page(transaction, after=after, limit=limit, only=None)


def _page(transaction: Transaction, *, after: str, limit: int, only: str | None) -> list[ConnectionRow]:
    statement = select(
        connections.c.connection, connections.c.name, connections.c.status, connections.c.created_at
    ).order_by(connections.c.connection)
    statement = statement.where(connections.c.connection == only if only else connections.c.connection > after)
    return [
        ConnectionRow(row.connection, row.name, EntryStatus(row.status), row.created_at)
        for row in transaction.execute(statement.limit(limit))
    ]


def set_status(transaction: Transaction, connection: str, status: EntryStatus) -> None:
    transaction.execute(update(connections).where(connections.c.connection == connection).values(status=status))


def entry(transaction: Transaction, connection: str) -> ConnectionEntry:
    """The connection as the signed directory names it. It must exist."""
    row = transaction.execute(
        select(connections.c.name, connections.c.status).where(connections.c.connection == connection)
    ).one()
    seals = (
        select(seal_certificates.c.certificate)
        .where(seal_certificates.c.connection == connection)
        .order_by(seal_certificates.c.added_at, seal_certificates.c.fingerprint)
    )
    return ConnectionEntry(
        connection=connection,
        name=row.name,
        seal_certificates=tuple(transaction.scalars(seals)),
        status=EntryStatus(row.status),
    )


# Asked at every request: built once.
_CLIENT = Prepared(
    select(client_certificates.c.connection, client_certificates.c.not_after, connections.c.status)
    .join_from(client_certificates, connections, connections.c.connection == client_certificates.c.connection)
    .where(client_certificates.c.fingerprint == bindparam("of_fingerprint"))
)


def identify_client(transaction: Transaction, fingerprint: Sha256Hex) -> ClientIdentity | None:
    """Whose the TLS certificate of `fingerprint` is; None for one that is not, or no longer, let in."""
    row = _CLIENT.first(transaction, {"of_fingerprint": fingerprint})
    return None if row is None else ClientIdentity(row.connection, row.not_after, EntryStatus(row.status))


def replace_client(
    transaction: Transaction, connection: str, fingerprint: Sha256Hex, *, not_after: datetime, at: datetime
) -> None:
    """Let the TLS certificate of `fingerprint` in as `connection`, and no other one any longer."""
    transaction.execute(delete(client_certificates).where(client_certificates.c.connection == connection))
    transaction.execute(
        insert(client_certificates).values(
            fingerprint=fingerprint, connection=connection, not_after=not_after, issued_at=at
        )
    )


def add_seal(
    transaction: Transaction, connection: str, fingerprint: Sha256Hex, certificate: bytes, *, at: datetime
) -> None:
    """Let the key of a seal certificate (DER) seal for what `connection` serves; nothing changes if it may already."""
    statement = insert_or(transaction, seal_certificates).values(
        connection=connection, fingerprint=fingerprint, certificate=certificate, added_at=at
    )
    transaction.execute(statement.on_conflict_do_nothing())


def withdraw_seals(transaction: Transaction, connection: str) -> None:
    """Let no key seal for what `connection` serves."""
    transaction.execute(delete(seal_certificates).where(seal_certificates.c.connection == connection))


def enrolled_at(transaction: Transaction, connection: str) -> datetime | None:
    """When the TLS certificate that is let in as `connection` was issued; None while there is none."""
    return transaction.scalar(
        select(client_certificates.c.issued_at).where(client_certificates.c.connection == connection)
    )
