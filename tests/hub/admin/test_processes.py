"""Several processes at one socket, watched by one: started again, and replaced without a refused connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from hub.processes import Worker, WorkerProcesses
from schemas.errors import Unavailable

#: Answers each connection with its process id.
_PROGRAM = """
import os, signal, socket, sys, time
from hub.processes import Worker
worker = Worker.parse(sys.argv[1])
if sys.argv[2] == "broken":
    sys.exit(3)
if os.path.isdir(sys.argv[2]):
    # It comes up at its second start.
    mark = os.path.join(sys.argv[2], str(worker.number))
    if not os.path.exists(mark):
        open(mark, "x").close()
        sys.exit(3)
told = []
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "stubborn" else lambda *_: told.append(1))
listener = socket.socket(fileno=worker.listener)
listener.settimeout(0.05)
worker.serves()
while not told:
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        continue
    connection.sendall(str(os.getpid()).encode())
    connection.close()
"""


class Watched:
    """Processes that run, and the order to replace them."""

    def __init__(self, processes: WorkerProcesses, listener: socket.socket) -> None:
        self.stop, self.replace, self.serving = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.port: int = listener.getsockname()[1]
        self._processes = processes

    async def run(self) -> None:
        await self._processes.run(self.stop, self.replace, serving=self.serving.set)

    async def pids(self, connections: int = 40) -> set[int]:
        """Who answers, among so many connections. None is refused; 0 stands for one that was not answered."""
        found = set()
        for _ in range(connections):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            found.add(int(await reader.read() or b"0"))
            writer.close()
        return found

    async def both(self) -> set[int]:
        """The two that answer: on a busy machine one of them may answer every connection for a while."""
        found: set[int] = set()
        async with asyncio.timeout(60):
            while len(found) < 2:
                found |= await self.pids()
        return found


@contextlib.asynccontextmanager
async def watched(kind: str = "well", *, count: int = 2, grace: float = 30.0) -> AsyncIterator[Watched]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:

        def command(worker: Worker) -> list[str]:
            return [sys.executable, "-c", _PROGRAM, str(worker), kind]

        processes = WorkerProcesses(count, command, listener, grace=grace, chance=Random(1))
        site = Watched(processes, listener)
        running = asyncio.create_task(site.run())
        try:
            yield site
        finally:
            site.stop.set()
            await running


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110 - processes tell nobody of their end
            await asyncio.sleep(0.05)


async def test_one_that_is_killed_is_started_again() -> None:
    """The place of a killed process is taken by a new one, and meanwhile the others answer every connection."""
    async with watched() as site:
        await site.serving.wait()
        victim = min(await site.pids())
        os.kill(victim, signal.SIGKILL)

        async def two_others() -> bool:
            found = await site.pids()
            return len(found - {0}) == 2 and victim not in found

        await until(two_others)


async def test_all_are_replaced_one_after_another() -> None:
    """After the order to replace them other processes answer, and no connection was refused in between."""
    async with watched() as site:
        await site.serving.wait()
        before = await site.both()
        assert len(before) == 2
        site.replace.set()

        async def all_others() -> bool:
            found = await site.pids()
            assert 0 not in found
            return len(found) == 2 and not found & before

        await until(all_others)


async def test_none_outlives_the_one_that_watches() -> None:
    """When the watching ends every process has ended, also one that does not want to."""
    async with watched("stubborn", grace=0.2) as site:
        await site.serving.wait()
        pids = await site.both()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_one_that_fails_at_its_first_start_is_started_again(tmp_path: Path) -> None:
    """What failed once at the start ends neither itself nor the others."""
    async with watched(str(tmp_path)) as site:
        async with asyncio.timeout(60):
            await site.serving.wait()
        assert len(await site.both()) == 2


async def test_a_start_that_fails_is_told() -> None:
    """A process that never serves, in a few starts, is an error and not a loop."""
    with pytest.raises(Unavailable) as caught:
        async with watched("broken") as site:
            await site.stop.wait()
    assert caught.value.code == "worker-failed"
