"""The agencies' software in the benchmark: an adapter inside the node, as an integrator writes one.

It obeys orders that come over a socket in its folder, one JSON object a line, and answers each with one line:

    {"order": "prepare", "first": 1, "count": 200, "size": 10240, "to": ["H23"], "priority": 0}
    {"order": "submit", "parallel": 32}     gives when each document was given to the node, and when that was durable
    {"order": "arrivals"}                   gives what was handed over since the last question, and when

Instants are seconds of the machine's monotonic clock, which all its processes share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from adapters.sdk import Accepted, AdapterContext, Delivery, Guarantee, Health, NodeApi, Outcome, Submission
from benchmarks.documents import number_of, submission
from schemas.message import Document, Priority

#: An order names a few agencies, or 20,000.
_LINE = 2**22


class Software:
    """An agency's software. What is handed over to it, it only counts; what it sends, a `Desk` orders."""

    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE

    def __init__(self, node: NodeApi, folder: Path) -> None:
        self._node = node
        self._folder = folder
        self._arrivals: list[tuple[int, float]] = []

    async def deliver(self, delivery: Delivery) -> Outcome:
        if isinstance(delivery.message, Document):
            self._arrivals.append((number_of(delivery.message), time.monotonic()))
        return Accepted()

    async def run(self, stop: asyncio.Event) -> None:
        server = await asyncio.start_unix_server(self._talk, socket_of(self._folder), limit=_LINE)
        async with server:
            await stop.wait()

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        desk = Desk(self, self._node, self._folder)
        with contextlib.closing(writer):
            async for line in reader:
                order = json.loads(line)
                answer = await getattr(desk, order.pop("order"))(**order)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

    def take_arrivals(self) -> list[tuple[int, float]]:
        arrivals, self._arrivals = self._arrivals, []
        return arrivals


class Desk:
    """One connection that orders come over, with the documents that it has ready."""

    def __init__(self, software: Software, node: NodeApi, folder: Path) -> None:
        self._software = software
        self._node = node
        self._folder = folder
        self._prepared: list[tuple[int, Submission]] = []

    async def prepare(self, first: int, count: int, size: int, to: list[str], priority: int) -> int:
        """Have documents ready, so that making them is not measured."""

        def made() -> Iterator[tuple[int, Submission]]:
            for number in range(first, first + count):
                yield number, submission(self._folder, number, size=size, to=to, priority=Priority(priority))

        self._prepared += await asyncio.to_thread(lambda: list(made()))
        return len(self._prepared)

    async def submit(self, parallel: int) -> list[tuple[int, float, float]]:
        """Give the node what is prepared, `parallel` at a time: number, begun, durable."""
        waiting = iter(self._prepared)
        self._prepared = []
        done: list[tuple[int, float, float]] = []

        async def one_after_the_other() -> None:
            for number, prepared in waiting:
                begun = time.monotonic()
                await self._node.submit(prepared)
                done.append((number, begun, time.monotonic()))

        await asyncio.gather(*(one_after_the_other() for _ in range(parallel)))
        return done

    async def arrivals(self) -> list[tuple[int, float]]:
        return self._software.take_arrivals()


async def open_software(context: AdapterContext) -> Software:
    context.folder.mkdir(exist_ok=True)
    return Software(context.node, context.folder)


def socket_of(folder: Path) -> Path:
    """Where the software whose folder is `folder` takes orders."""
    return folder / "orders"


class Orders:
    """The driver's end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, folder: Path, patience: float = 60.0) -> Orders:
        """Speak to the software whose folder is `folder`; wait for it to listen."""
        ends = time.monotonic() + patience
        while True:
            try:
                return cls(*await asyncio.open_unix_connection(socket_of(folder), limit=_LINE))
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(0.05)

    async def prepare(self, first: int, count: int, *, size: int, to: list[str], priority: int = 0) -> None:
        await self._ask(order="prepare", first=first, count=count, size=size, to=to, priority=priority)

    async def submit(self, parallel: int) -> list[tuple[int, float, float]]:
        """Number of the document, when it was given to the node, when that was durable."""
        return [tuple(each) for each in await self._ask(order="submit", parallel=parallel)]  # type: ignore[misc]

    async def arrivals(self) -> list[tuple[int, float]]:
        """Number of the document, and when it was handed over to the software, since the last question."""
        return [tuple(each) for each in await self._ask(order="arrivals")]  # type: ignore[misc]

    def close(self) -> None:
        self._writer.close()

    async def _ask(self, **order: Any) -> Any:
        self._writer.write(json.dumps(order).encode() + b"\n")
        await self._writer.drain()
        return json.loads(await self._reader.readline())
