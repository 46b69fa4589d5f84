"""Where the hub pushes to, and how the breaker of each endpoint stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, func, select, update

from hub.store.directory_tables import client_certificates, connections
from hub.store.metadata import Transaction
from hub.store.watch_tables import push_endpoints
from runtime.columns import insert_or
from schemas.directory import EntryStatus
from schemas.envelope import Sha256Hex

_endpoints = push_endpoints.c


class BreakerState(StrEnum):
    """Closed: pushes go. Open: none goes until a time. Half-open: one probe is under way, and decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """How a breaker stands.

    `changed_at`: when it opened, or closed. `failures`: in a row, while closed. `openings`: without closing between.
    `probe_at`: when an open one is tried again; for a half-open one, when its probe is given up.
    """

    state: BreakerState
    changed_at: datetime
    failures: int = 0
    openings: int = 0
    probe_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to push what waits for a connection, and the TLS certificate that must answer there."""

    connection: str
    url: str
    fingerprint: Sha256Hex


@dataclass(frozen=True, slots=True)
class PushRow:
    """A connection's endpoint as it is set, and its breaker."""

    url: str
    breaker: Breaker


def put(transaction: Transaction, connection: str, url: str, *, at: datetime) -> None:
    """Push to `url`. A breaker that is open stays so, as the operator was told, but is tried at once."""
    statement = insert_or(transaction, push_endpoints).values(
        connection=connection, url=url, state=BreakerState.CLOSED, changed_at=at, failures=0, openings=0
    )
    transaction.execute(
        statement.on_conflict_do_update(index_elements=[_endpoints.connection], set_={"url": url, "probe_at": at})
    )


def remove(transaction: Transaction, connection: str) -> None:
    transaction.execute(delete(push_endpoints).where(_endpoints.connection == connection))


def find(transaction: Transaction, connection: str, *, for_change: bool = False) -> PushRow | None:
    """The endpoint of a connection; None if nothing is pushed to it. `for_change` keeps other writers off it."""
    statement = select(push_endpoints).where(_endpoints.connection == connection)
    row = transaction.execute(statement.with_for_update() if for_change else statement).one_or_none()
    if row is None:
        return None
    breaker = Breaker(
        state=BreakerState(row.state),
        changed_at=row.changed_at,
        failures=row.failures,
        openings=row.openings,
        probe_at=row.probe_at,
        last_error=row.last_error,
    )
    return PushRow(row.url, breaker)


def endpoints(transaction: Transaction, *, at: datetime) -> list[Endpoint]:
    """The endpoints of active connections whose TLS certificate is let in at `at`."""
    rows = transaction.execute(
        select(_endpoints.connection, _endpoints.url, client_certificates.c.fingerprint)
        .join_from(push_endpoints, connections, connections.c.connection == _endpoints.connection)
        .join(client_certificates, client_certificates.c.connection == _endpoints.connection)
        .where(connections.c.status == EntryStatus.ACTIVE, client_certificates.c.not_after > at)
        .order_by(_endpoints.connection)
    )
    return [Endpoint(*row) for row in rows]


def claim_probe(transaction: Transaction, connection: str, *, at: datetime, until: datetime) -> bool:
    """Let the caller alone try a breaker that is due, up to `until`; False if it is not due, or another tries it."""
    claimed = transaction.execute(
        update(push_endpoints)
        .where(
            _endpoints.connection == connection,
            _endpoints.state != BreakerState.CLOSED,
            _endpoints.probe_at <= at,
        )
        .values(state=BreakerState.HALF_OPEN, probe_at=until)
    )
    return bool(claimed.rowcount)


def put_breaker(transaction: Transaction, connection: str, breaker: Breaker) -> None:
    transaction.execute(
        update(push_endpoints)
        .where(_endpoints.connection == connection)
        .values(
            state=breaker.state,
            changed_at=breaker.changed_at,
            failures=breaker.failures,
            openings=breaker.openings,
            probe_at=breaker.probe_at,
            last_error=breaker.last_error,
        )
    )


def counts(transaction: Transaction) -> dict[BreakerState, int]:
    """How many breakers are in each state; every state is there."""
    rows = transaction.execute(select(_endpoints.state, func.count().label("number")).group_by(_endpoints.state))
    return dict.fromkeys(BreakerState, 0) | {BreakerState(row.state): row.number for row in rows}
