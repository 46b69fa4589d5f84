"""What the node answers to an adapter's process: the calls of `adapters.sdk.NodeApi`; attachments piece by piece."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any, Final

from adapters.sdk import NodeApi
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

#: What may be called; nothing else of the object that stands behind it.
CALLS: Final = frozenset({
    "submit", "report", "recall", "update", "sent", "agency", "agencies", "declare", "retire", "waiting",
    "count_waiting", "lock", "unlock", "delivery", "settle", "events", "last_event",
})  # fmt: skip
#: Attachments that one process has open.
_OPEN: Final = 64


class NodeSide:
    """Answers one process; `close` lets go of what it has open."""

    def __init__(self, node: NodeApi) -> None:
        self._node = node
        self._numbers = itertools.count()
        self._reading: dict[int, tuple[asyncio.Task[None], asyncio.Queue[bytes | Exception]]] = {}

    async def answer(self, name: str, parts: tuple[Any, ...]) -> object:
        match name:
            case "node":
                called, given, named = parts
                if called not in CALLS:
                    raise Rejected("call-unknown", f"A node has no call {called!r}.")
                return await getattr(self._node, called)(*given, **named)
            case "attachment-open":
                return self._open(*parts)
            case "attachment-read":
                piece = await self._reading[parts[0]][1].get()
                if isinstance(piece, Exception):
                    raise piece
                return piece
            case "attachment-close":
                await self._shut(parts[0])
                return None
        raise Rejected("call-unknown", f"A node has no call {name!r}.")

    def _open(self, digest: Sha256Hex, start: int) -> int:
        if len(self._reading) >= _OPEN:
            raise Rejected("too-many-open", f"{_OPEN} attachments are open.", mend="Close some first.")
        number = next(self._numbers)
        # One piece ahead: more would be the process's memory in ours.
        pieces: asyncio.Queue[bytes | Exception] = asyncio.Queue(1)
        self._reading[number] = asyncio.create_task(self._read(digest, start, pieces)), pieces
        return number

    async def _read(self, digest: Sha256Hex, start: int, pieces: asyncio.Queue[bytes | Exception]) -> None:
        try:
            async with self._node.open_attachment(digest, start=start) as chunks:
                async for chunk in chunks:
                    if chunk:
                        await pieces.put(chunk)
            await pieces.put(b"")
        except Exception as error:  # noqa: BLE001 - it is raised where the attachment is read
            await pieces.put(error)

    async def _shut(self, number: int) -> None:
        task, _ = self._reading.pop(number)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def close(self) -> None:
        for number in list(self._reading):
            await self._shut(number)
