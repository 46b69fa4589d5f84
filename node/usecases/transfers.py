"""Attachments on their way: noted for people while they move, and promised the room that they will take.

The promise is made in the database before the first byte, so that downloads and copies that run at once, in the daemon
and in commands beside it, cannot fill the disk together. It shrinks as bytes come and ends with the transfer.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from node.store import transfers
from node.store.metadata import Transaction
from node.store.states import Direction
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable

log = structlog.get_logger()

_NOTE_EVERY: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Journey:
    """What is moved: `position` of its `size` bytes are there already."""

    direction: Direction
    size: int
    position: int = 0
    message_id: Sha256Hex | None = None
    digest: Sha256Hex | None = None


class Moving:
    """A transfer under way. `position` is the byte at which it stands."""

    def __init__(self, name: str, position: int, database: Database, clock: Clock) -> None:
        self._name = name
        self._database = database
        self._clock = clock
        self._noted_at: datetime = clock()
        self.position = position

    async def counted(self, pieces: AsyncIterable[bytes], *, start: int) -> AsyncGenerator[bytes, None]:
        """The pieces from byte `start` on; a piece counts when the next is asked for."""
        self.position = start
        async for piece in pieces:
            yield piece
            self.position += len(piece)
            if abs(self._clock() - self._noted_at) >= _NOTE_EVERY:
                await self._note()

    async def _note(self) -> None:
        self._noted_at = self._clock()
        try:
            note = partial(transfers.note, transfer=self._name, position=self.position, at=self._noted_at)
            await self._database.write(note)
        except Unavailable as error:
            # Until the next note this counts as further back than it is: nothing is promised twice for it.
            log.warning("transfer.not-noted", rule=error.code, reason=error.message)


class Transfers:
    """Notes transfers. `reserve` bytes of the disk are promised to none."""

    def __init__(self, database: Database, blobs: BlobStore, clock: Clock, *, reserve: int) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._reserve = reserve

    @asynccontextmanager
    async def under_way(self, journey: Journey) -> AsyncIterator[Moving]:
        """A transfer, for as long as this lasts. Raises Unavailable: `storage-full` if there is no room for it."""
        name = secrets.token_hex(16)
        await self._database.write(partial(self._begin, name=name, journey=journey))
        try:
            yield Moving(name, journey.position, self._database, self._clock)
        finally:
            await self._end(partial(transfers.end, transfer=name))

    async def _end(self, end: Callable[[Transaction], None]) -> None:
        try:
            await self._database.write(end)
        except Unavailable as error:
            # What it was promised is free again when it is forgotten.
            log.warning("transfer.not-noted", rule=error.code, reason=error.message)

    def _begin(self, transaction: Transaction, name: str, journey: Journey) -> None:
        now = self._clock()
        transfers.begin(
            transaction,
            name,
            direction=journey.direction,
            message_id=journey.message_id,
            digest=journey.digest,
            size=journey.size,
            position=journey.position,
            at=now,
        )
        free = self._blobs.free_bytes()
        if journey.direction is Direction.UPLOAD or free is None:
            return
        if transfers.to_come(transaction, at=now) > free - self._reserve:
            raise Unavailable(
                "storage-full",
                f"There is no room for {journey.size - journey.position} bytes of an attachment, beside what is on its "
                f"way already: {free} bytes are free, of which {self._reserve} are kept.",
                mend="Free space or enlarge the disk; what the hub brings then comes by itself.",
            )
