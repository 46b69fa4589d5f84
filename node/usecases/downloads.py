"""Fetching attachments: of a leased message, or of one of ours; from where an earlier try broke off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from node.store.states import Direction
from node.usecases.transfers import Journey, Moving, Transfers
from runtime.blobs import BlobStore
from schemas.envelope import AttachmentSize, Sha256Hex
from schemas.errors import Rejected, Unavailable
from transport.client import HubClient

#: How often in a row a download may break off without having got further.
_TRIES: Final = 3


@dataclass(slots=True)
class Lease:
    """The lease that a download lives on: each ranged read renews it, so one begins every `renew_every` seconds.

    `token` changes when the lease has lapsed all the same and the hub has handed the entry out again.
    """

    entry: int
    token: str
    renew_every: float

    @property
    def name(self) -> str:
        """As the protocol's header names it."""
        return f"{self.entry}:{self.token}"


class Downloads:
    """Brings attachments from the hub into the folder of blobs."""

    def __init__(self, blobs: BlobStore, hub: HubClient, transfers: Transfers) -> None:
        self._blobs = blobs
        self._hub = hub
        self._transfers = transfers
        self._fetching: WeakValueDictionary[Sha256Hex, asyncio.Lock] = WeakValueDictionary()

    async def fetch(self, message_id: Sha256Hex, attachment: AttachmentSize, lease: Lease | None) -> None:
        """Have the bytes of `attachment`, which the message names, here, durable when this returns.

        No lease is needed for a message of ours.

        Raises Unavailable: `storage-full`, what the hub or the way to it gives, `attachment-digest` if the hub's bytes
        are others. Nothing of this is the sender's fault: the hub accepted the message with its attachments.
        """
        # Two messages with one attachment fetch it once: the second waits, and finds it here.
        lock = self._fetching.setdefault(attachment.digest, asyncio.Lock())
        async with lock:
            if await self._blobs.size(attachment.digest) is not None:
                return
            try:
                await self._fetch(message_id, attachment, lease)
            except Rejected as error:
                raise Unavailable(
                    error.code, error.message, mend="Tell the hub's operator: its store may be damaged."
                ) from error

    async def _fetch(self, message_id: Sha256Hex, attachment: AttachmentSize, lease: Lease | None) -> None:
        upload_id = _upload_id(attachment)
        while True:
            began = await self._blobs.upload_offset(upload_id)
            journey = Journey(Direction.DOWNLOAD, attachment.size, began, message_id, attachment.digest)
            async with self._transfers.under_way(journey) as moving:
                await self._complete(attachment, lease, moving)
            try:
                await self._blobs.finish(upload_id, attachment.digest, attachment.size)
            except Rejected:
                # What an earlier try left may have been damaged by a power cut: all of it is fetched once more.
                if not began:
                    raise
            else:
                return

    async def _complete(self, attachment: AttachmentSize, lease: Lease | None, moving: Moving) -> None:
        failures = 0
        upload_id = _upload_id(attachment)
        while (offset := await self._blobs.upload_offset(upload_id)) < attachment.size:
            broken: Unavailable | None = None
            try:
                name = lease.name if lease else None
                async with self._hub.blob(attachment.digest, start=offset, lease=name) as chunks:
                    timely = _for_seconds(chunks, lease.renew_every) if lease else chunks
                    counted = moving.counted(timely, start=offset)
                    await self._blobs.append(upload_id, offset, counted, limit=attachment.size)
            except Unavailable as error:
                if error.code != "hub-unreachable":
                    raise
                broken = error
            failures = 0 if await self._blobs.upload_offset(upload_id) > offset else failures + 1
            if failures == _TRIES:
                raise broken or Unavailable(
                    "hub-answer", f"The hub has fewer bytes of {attachment.digest} than the envelope says."
                )


def _upload_id(attachment: AttachmentSize) -> str:
    return f"in{attachment.digest}"


async def _for_seconds(chunks: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The chunks that come within `seconds`, at least one."""
    ends_at = time.monotonic() + seconds
    async for chunk in chunks:
        yield chunk
        if time.monotonic() >= ends_at:
            return
