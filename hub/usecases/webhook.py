"""The webhook: alerts go to the operator's own monitoring, each until it was taken, so at least once.

Each is signed (`certs.signed_posts`). What the address answers beside its status is not read, and it is sent nowhere
else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import Final

import aiohttp
import structlog
from yarl import URL

from certs.signed_posts import error_words, signature_headers
from hub.store import alerts
from hub.store.alerts import QueuedAlert
from hub.usecases.meters import Meters
from runtime.clock import Clock
from runtime.database import Database

log = structlog.get_logger()

ID_HEADER: Final = "Congvan-Alert"

_FIRST_WAIT: Final = timedelta(seconds=5)
#: A try that ends with the process is made again so long after its timeout.
_MARGIN: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTerms:
    """Where alerts go and how they are signed: `timeout` bounds one try, `longest` the wait between two."""

    url: URL = field(repr=False)
    secret: bytes = field(repr=False)
    timeout: timedelta
    longest: timedelta


class Webhook:
    """Sends the alerts that wait, one after the other."""

    def __init__(
        self,
        database: Database,
        session: aiohttp.ClientSession,
        terms: WebhookTerms,
        *,
        meters: Meters,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._session = session
        self._terms = terms
        self._meters = meters
        self._clock = clock
        self._chance = chance

    async def send_one(self) -> bool:
        """Try to send the oldest alert that is due; False if none is."""
        now = self._clock()
        due = await self._database.read(alerts.next_due)
        # One that is due later than any wait was put off by a clock that has been set back since.
        furthest = max(self._terms.longest * 1.2, self._terms.timeout) + _MARGIN
        if due is None or now < due <= now + furthest:
            return False
        held_until = now + self._terms.timeout + _MARGIN
        alert = await self._database.write(partial(alerts.claim, at=max(now, due), until=held_until))
        if alert is None:
            return False
        fault = await self._post(alert)
        if fault is None:
            await self._database.write(partial(alerts.done, alert=alert.alert))
            self._meters.webhook_posts.labels("taken").inc()
            log.info("alert.sent", alert=alert.alert_id, about=alert.event, attempts=alert.attempts + 1)
            return True
        self._meters.webhook_posts.labels("failed").inc()
        wait = self._wait_after(alert.attempts + 1)
        await self._database.write(partial(alerts.put_off, alert=alert.alert, until=self._clock() + wait, error=fault))
        log.warning(
            "alert.unsent",
            alert=alert.alert_id,
            about=alert.event,
            to=self._terms.url.host,
            reason=fault,
            seconds=round(wait.total_seconds(), 1),
        )
        return True

    async def _post(self, alert: QueuedAlert) -> str | None:
        """What went wrong, in words that hold nothing of the address; None if the alert was taken."""
        headers = {
            "Content-Type": "application/json",
            ID_HEADER: alert.alert_id,
            **signature_headers(self._terms.secret, alert.document, self._clock()),
        }
        try:
            async with asyncio.timeout(self._terms.timeout.total_seconds()):
                # The body of the answer is left unread: nothing in it matters, and it may have no end.
                async with self._session.post(
                    self._terms.url, data=alert.document, headers=headers, allow_redirects=False
                ) as answer:
                    return None if 200 <= answer.status < 300 else f"it answered with status {answer.status}"
        except TimeoutError:
            return f"no answer within {self._terms.timeout.total_seconds():g} s"
        except (aiohttp.ClientError, OSError) as error:
            return error_words(error)

    def _wait_after(self, failures: int) -> timedelta:
        doubled = _FIRST_WAIT * 2.0 ** min(failures - 1, 20)
        return min(doubled, self._terms.longest) * self._chance.uniform(0.8, 1.2)
