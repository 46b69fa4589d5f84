"""Sends alerts as they come up, and again those that were not taken."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from hub.usecases.alerts import ALERTS
from hub.usecases.webhook import Webhook
from runtime.lifecycle import Service
from runtime.wakeups import Wakeups, wait_for_event
from schemas.errors import Unavailable

log = structlog.get_logger()

#: Seconds between two looks when nobody wakes it, which is also how exactly a wait is kept.
RECHECK: Final = 2.0


def webhook_service(webhook: Webhook, wakeups: Wakeups, *, recheck: float = RECHECK) -> Service:
    """The service that sends."""

    async def run(stop: asyncio.Event) -> None:
        with wakeups.listen(ALERTS) as event:
            while not stop.is_set():
                try:
                    sent = await webhook.send_one()
                except Unavailable as error:
                    log.warning("webhook.failed", error=str(error))
                    sent = False
                if not sent:
                    await wait_for_event(event, recheck)

    return run
