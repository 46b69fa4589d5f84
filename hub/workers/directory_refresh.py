"""Signs a new version of the directory before the newest one expires, whether anything changed or not."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from hub.usecases.directory import DirectoryRenewal
from runtime.lifecycle import Service, sleep_unless
from schemas.errors import Unavailable

log = structlog.get_logger()

#: Seconds between two looks: often against the days that are left when a renewal falls due.
INTERVAL: Final = 600.0


def directory_refresh(renewal: DirectoryRenewal, *, interval: float = INTERVAL) -> Service:
    """The service that looks every `interval` seconds, first at once."""

    async def run(stop: asyncio.Event) -> None:
        while True:
            try:
                version = await renewal.renew_if_due()
            except Unavailable as error:
                # A full disk or a busy database passes; there are days left.
                log.warning("directory.renewal_failed", error=str(error))
            else:
                if version is not None:
                    log.info("directory.renewed", version=version)
            if await sleep_unless(stop, interval):
                return

    return run
