"""Attachments of what this node had sent and fetched back from the hub: they follow, one after the other.

A hub that is put back to a backup itself can then be brought the messages whole.
"""

from __future__ import annotations

from functools import partial

import structlog

from node.store import attachment_recoveries
from node.usecases.attachments import SMALL, Attachments
from node.usecases.downloads import Downloads
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import AttachmentSize, Sha256Hex
from schemas.errors import CongvanError, Unavailable

log = structlog.get_logger()


class AttachmentRecovery:
    """Fetches them; what broke off goes on from there, after a stop as well."""

    def __init__(self, database: Database, attachments: Attachments, downloads: Downloads, clock: Clock) -> None:
        self._database = database
        self._attachments = attachments
        self._downloads = downloads
        self._clock = clock

    async def fetch_all(self) -> bool:
        """Fetch what is to be fetched; False if some of it must be asked for again later."""
        complete = True
        for message_id in await self._database.read(attachment_recoveries.waiting):
            try:
                await self._fetch(message_id)
            except CongvanError as error:
                # The next may come all the same: of one attachment the hub's copy may be damaged.
                complete = False
                log.warning("own-attachments.put-off", message=message_id, rule=error.code, reason=error.message)
        return complete

    async def _fetch(self, message_id: Sha256Hex) -> None:
        gone: list[Sha256Hex] = []
        for attachment in await self._database.read(partial(attachment_recoveries.wanted, message_id=message_id)):
            if not await self._is_here(attachment):
                try:
                    await self._downloads.fetch(message_id, attachment, None)
                except Unavailable as error:
                    if error.code != "payload-purged":
                        raise
                    gone.append(attachment.digest)
        await self._database.write(
            partial(attachment_recoveries.end, message_id=message_id, gone=gone, at=self._clock())
        )
        if gone:
            log.error(
                "own-attachments.lost-here",
                message=message_id,
                attachments=gone,
                mend="The hub has dropped them as well: the agency's software may have them.",
            )
        else:
            log.info("own-attachments.recovered", message=message_id)

    async def _is_here(self, attachment: AttachmentSize) -> bool:
        if await self._attachments.is_blob(attachment.digest):
            return True
        return attachment.size <= SMALL and await self._attachments.small(attachment.digest) is not None
