"""What systemd is to the daemons: a program that ended is started again after a pause."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from congvan.demo.programs import Program

#: Seconds until a program that ended by itself is started again (its disk may be full), as RestartSec of a unit.
_RESTART: Final = 1.0
_KILLED: Final = -signal.SIGKILL


@dataclass(frozen=True, slots=True)
class End:
    """A program that ended though nobody killed it, and its exit status (negative: the signal).

    `explained`: its disk is full, or was, or a server that it cannot start without is away, or was.
    """

    program: str
    status: int
    explained: bool


class Supervisor:
    """Keeps `programs` running within `async with`. `ends` are those that ended by themselves.

    `explains` says of a program that ends at this moment whether it may.
    """

    def __init__(self, programs: Mapping[str, Program], explains: Callable[[str], bool]) -> None:
        self.ends: list[End] = []
        self._programs = programs
        self._explains = explains
        self._pauses: dict[str, float] = {}
        self._keepers: list[asyncio.Task[None]] = []

    async def kill(self, name: str, *, pause: float) -> bool:
        """`kill -9`, of the processes that it started too; it is started again `pause` seconds later.

        False if there was none to kill at this moment.
        """
        program = self._programs[name]
        if not program.is_running:
            return False
        self._pauses[name] = pause
        children = children_of(program.pid)
        await program.kill()
        end_all(children)
        return await program.ended() == _KILLED

    def kill_child(self, name: str) -> bool:
        """`kill -9` of one process that the program started, the oldest. False if there was none at this moment."""
        program = self._programs[name]
        return program.is_running and end_all(children_of(program.pid)[:1]) > 0

    async def __aenter__(self) -> Self:
        self._keepers = [asyncio.create_task(self._keep(name), name=f"keeper of {name}") for name in self._programs]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Start nothing again from now on; what runs goes on."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _keep(self, name: str) -> None:
        program = self._programs[name]
        while True:
            if not program.is_running:
                await program.start()
            status = await program.ended()
            pause = self._pauses.pop(name, None)
            if pause is None or status != _KILLED:
                self.ends.append(End(name, status, self._explains(name)))
            await asyncio.sleep(_RESTART if pause is None else pause)


def children_of(pid: int) -> list[int]:
    """The processes that `pid` started and that are there still; none if it is gone."""
    try:
        return sorted(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())
    except (FileNotFoundError, ProcessLookupError):
        return []


def end_all(pids: list[int]) -> int:
    """`kill -9` of each; gives how many there were."""
    ended = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        ended += 1
    return ended
