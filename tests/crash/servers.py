"""The servers of the distributed column: the suite kills them and starts them again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from runtime.postgres_address import DatabaseSettings
from tests.crash.schedule import BROKER, DATABASE, STORAGE
from tests.services.postgres import PostgresServer
from tests.services.rabbitmq import RabbitMQ
from tests.services.seaweedfs import BUCKET, SeaweedFs

#: Programs whose state is in the database; the other nodes keep theirs in a file, so that both columns meet.
IN_DATABASE: Final = ("hub", "node-H23")


class Server(Protocol):
    """What every server of `tests.services` can."""

    def start(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(slots=True)
class KillableServer:
    """A server with a thread of its own: starting it blocks for seconds, and it ends with the thread that did."""

    server: Server
    away_until: float = -float("inf")
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _is_running: bool = False

    async def start(self) -> None:
        """Start it, unless it runs."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    async def strike(self, seconds: float, between: Callable[[], None] = lambda: None) -> None:
        """`kill -9`; `between` is called; it is started again `seconds` later."""
        self.away_until = float("inf")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._kill)
            await asyncio.get_running_loop().run_in_executor(self._thread, between)
            await asyncio.sleep(seconds)
        finally:
            await self.start()
            self.away_until = time.monotonic()

    async def close(self, end: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, end)
        self._thread.shutdown()

    def _start(self) -> None:
        if not self._is_running:
            self.server.start()
            self._is_running = True

    def _kill(self) -> None:
        self.server.kill()
        self._is_running = False


class Servers:
    """All of them, running within `async with`; their own files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._postgres = PostgresServer()
        self._rabbitmq = RabbitMQ(folder / BROKER)
        self._seaweedfs = SeaweedFs(folder / STORAGE)
        self._by_name = {
            DATABASE: KillableServer(self._postgres),
            BROKER: KillableServer(self._rabbitmq),
            STORAGE: KillableServer(self._seaweedfs),
        }
        self._ends = {
            DATABASE: self._postgres.remove,
            BROKER: self._rabbitmq.close,
            STORAGE: self._seaweedfs.kill,
        }
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for name, server in self._by_name.items():
                stack.push_async_callback(server.close, self._ends[name])
            await asyncio.gather(*(server.start() for server in self._by_name.values()))
            await asyncio.to_thread(self._seaweedfs.make_bucket, BUCKET)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    def databases(self) -> dict[str, DatabaseSettings]:
        """A database for each program that has its state there."""
        return {
            name: self._postgres.settings(self._postgres.create_database(), self._folder / f"{name}.password")
            for name in IN_DATABASE
        }

    def environment(self) -> Mapping[str, str]:
        """What tells a hub of its broker and its object storage."""
        blobs = self._seaweedfs.settings(self._folder, "hub")
        return {
            "CONGVAN_HUB__BROKER__URL": self._rabbitmq.url,
            "CONGVAN_HUB__BROKER__PASSWORD_FILE": str(self._rabbitmq.password_file),
            "CONGVAN_HUB__BROKER__LONGEST_WAIT_SECONDS": "2",
            "CONGVAN_HUB__BLOBS__URL": blobs.url,
            "CONGVAN_HUB__BLOBS__ENDPOINT": blobs.endpoint,
            "CONGVAN_HUB__BLOBS__CREDENTIALS_FILE": str(blobs.credentials_file),
            "CONGVAN_HUB__BLOBS__TIMEOUT_SECONDS": "10",
        }

    async def strike(self, name: str, seconds: float, *, wipe: bool) -> None:
        """Kill the server `name` for so many seconds; `wipe` drops all that a broker holds meanwhile."""
        between = self._rabbitmq.wipe if wipe and name == BROKER else None
        await self._by_name[name].strike(seconds, between or (lambda: None))

    async def heal(self) -> None:
        """Have all of them run."""
        await asyncio.gather(*(server.start() for server in self._by_name.values()))

    def excuse(self, program: str, recovery: float) -> bool:
        """Whether `program` may end at this moment, as what it cannot start without is away or was until just now."""
        needed = [DATABASE] if program in IN_DATABASE else []
        needed += [STORAGE] if program == "hub" else []
        return any(time.monotonic() - self._by_name[name].away_until < recovery for name in needed)
