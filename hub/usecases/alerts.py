"""Alerts: what the operator is told once, in the transaction in which it becomes true.

An alert is a log event, a count, and, where a webhook is set, a document that is kept until the webhook has taken it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

import structlog

from hub.store import alerts, watching
from hub.store.metadata import Transaction
from hub.store.watching import Served, Waiting
from hub.usecases.meters import Meters
from runtime.wakeups import Wakeups

log = structlog.get_logger()

#: An alert waits to be sent.
ALERTS: Final[Hashable] = "alerts"
#: Codes that an alert names; how many there are it says besides.
_NAMED: Final = 10


class AlertEvent(StrEnum):
    """What an alert is about. Each has its counterpart, and the two take turns."""

    AGENCY_SILENT = "agency.silent"
    AGENCY_BACK = "agency.back"
    PUSH_OPENED = "push.opened"
    PUSH_CLOSED = "push.closed"
    WORK_STUCK = "work.stuck"
    WORK_DONE = "work.done"


_GOOD_NEWS: Final = frozenset({AlertEvent.AGENCY_BACK, AlertEvent.PUSH_CLOSED, AlertEvent.WORK_DONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert: of which connection, at what instant, since when it was so, what waits; `reason` says why, if known.

    `dropped` are the ids of older alerts that gave way to it.
    """

    alert_id: str
    event: AlertEvent
    connection: str
    at: datetime
    since: datetime
    served: Served
    waiting: Waiting
    reason: str | None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What an alert says of a connection besides: whom it serves, and what waits for it."""

    served: Served
    waiting: Waiting


def standing_of(transaction: Transaction, connection: str) -> Standing:
    """How `connection` stands. What waits is counted, entry by entry: of many connections, not in one transaction."""
    return Standing(
        watching.served_by(transaction, connection, most=_NAMED), watching.waiting_for(transaction, connection)
    )


@dataclass(frozen=True, slots=True)
class Alerts:
    """Raises alerts. `hub` is the hub's name; `kept` bounds what waits for the webhook, None if there is none."""

    hub: str
    kept: int | None
    meters: Meters
    wakeups: Wakeups

    def raise_in(
        self,
        transaction: Transaction,
        event: AlertEvent,
        connection: str,
        *,
        at: datetime,
        since: datetime,
        reason: str | None = None,
        standing: Standing | None = None,
    ) -> Alert:
        """Raise an alert in the transaction that makes it true; hand what this gives to `tell` after the commit.

        `standing` is how the connection stood a moment ago, if that was read before: no writer then waits for a count.
        """
        alert_id = secrets.token_hex(16)
        standing = standing or standing_of(transaction, connection)
        alert = Alert(
            alert_id=alert_id,
            event=event,
            connection=connection,
            at=at,
            since=since,
            served=standing.served,
            waiting=standing.waiting,
            reason=reason,
        )
        if self.kept is None:
            return alert
        dropped = alerts.queue(transaction, alert_id, event, self._document(alert), at=at, most=self.kept)
        return replace(alert, dropped=tuple(dropped))

    def tell(self, raised: Iterable[Alert]) -> None:
        """Log and count alerts whose transaction is committed, and wake the webhook."""
        for alert in raised:
            write = log.info if alert.event in _GOOD_NEWS else log.warning
            write(
                alert.event.value,
                alert=alert.alert_id,
                connection=alert.connection,
                agencies=list(alert.served.codes),
                agencies_count=alert.served.agencies,
                since=alert.since,
                waiting=alert.waiting.deliveries,
                oldest_waiting_at=alert.waiting.oldest,
                reason=alert.reason,
            )
            self.meters.alerts.labels(alert.event).inc()
            for dropped in alert.dropped:
                log.error("alert.dropped", alert=dropped, mend="See why the webhook takes none; `kept` bounds them.")
                self.meters.alerts_dropped.inc()
            self.wakeups.wake(ALERTS)

    def _document(self, alert: Alert) -> bytes:
        document = {
            "id": alert.alert_id,
            "event": alert.event,
            "hub": self.hub,
            "connection": alert.connection,
            "name": alert.served.name,
            "agencies": alert.served.codes,
            "agencies_count": alert.served.agencies,
            "at": alert.at.isoformat(),
            "since": alert.since.isoformat(),
            "waiting": alert.waiting.deliveries,
            "oldest_waiting_at": alert.waiting.oldest.isoformat() if alert.waiting.oldest else None,
            "reason": alert.reason,
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
