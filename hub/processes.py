"""A hub of several equal processes on one machine: they share a listening socket and the database; one watches them.

The watching process serves nobody. It holds the socket all the time, so that no connection is refused while a process
is replaced; it starts again whoever ends unasked, and replaces all, one after another, when it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Self

import structlog

from runtime.lifecycle import sleep_unless
from schemas.errors import Unavailable

log = structlog.get_logger()

#: Seconds until a process that ended unasked is started again: doubled each time, spread by a fifth.
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
#: One that has served for so many seconds is well again.
_SETTLED: Final = 60.0
#: How often one that has never served is started before the hub gives up: at its first start somebody stands by.
_FIRST_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Worker:
    """What one of the processes is told: its number, from 1, and two descriptors that it inherits.

    `listener` is the socket to serve at; `line` leads to the process that watches it, and ends when that ends.
    """

    number: int
    listener: int
    line: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `number:listener:line`. Raises ValueError."""
        number, listener, line = (int(part) for part in text.split(":"))
        return cls(number, listener, line)

    def __str__(self) -> str:
        return f"{self.number}:{self.listener}:{self.line}"

    def socket(self) -> socket.socket:
        """The socket to serve at."""
        return socket.socket(fileno=self.listener)

    def serves(self) -> None:
        """Tell the watching process that requests are answered from now on."""
        os.write(self.line, b"\n")

    @contextlib.contextmanager
    def watched(self, stop: asyncio.Event) -> Iterator[None]:
        """While inside, set `stop` when the watching process is gone: what nobody watches would run on unseen."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self.line)
            stop.set()

        # Nothing is ever written to it from there: readable means that it has ended.
        loop.add_reader(self.line, ended)
        try:
            yield
        finally:
            loop.remove_reader(self.line)


class WorkerProcesses:
    """Keeps `count` processes running, each started by `command` with what it is told, at `listener`.

    One that is asked to end has `grace` seconds for it.
    """

    def __init__(
        self,
        count: int,
        command: Callable[[Worker], Sequence[str]],
        listener: socket.socket,
        *,
        grace: float,
        chance: Random,
    ) -> None:
        self._places = [_Place(number, command, listener, grace, chance) for number in range(1, count + 1)]

    async def run(self, stop: asyncio.Event, replace: asyncio.Event, *, serving: Callable[[], None]) -> None:
        """Run until `stop` is set; `serving` is called once all serve. All are replaced whenever `replace` is set.

        Raises `worker-failed` if one does not come so far at the start, in several tries, after the others have ended.
        """
        keeping = [asyncio.create_task(place.keep(stop)) for place in self._places]
        telling = asyncio.create_task(self._tell(serving, replace))
        try:
            await asyncio.wait(keeping, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            stop.set()
            telling.cancel()
            outcomes = await asyncio.gather(*keeping, telling, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _tell(self, serving: Callable[[], None], replace: asyncio.Event) -> None:
        for place in self._places:
            await place.serves.wait()
        serving()
        while True:
            await replace.wait()
            replace.clear()
            for place in self._places:
                await place.replaced()
                log.info("worker.replaced", worker=place.number)
            log.info("workers.replaced", workers=len(self._places))


class _Place:
    """The place of one process: it is taken by one after another."""

    def __init__(
        self,
        number: int,
        command: Callable[[Worker], Sequence[str]],
        listener: socket.socket,
        grace: float,
        chance: Random,
    ) -> None:
        self.serves = asyncio.Event()
        self.number = number
        self._command = command
        self._listener = listener
        self._grace = grace
        self._chance = chance
        self._leave = asyncio.Event()
        self._has_served = False

    async def replaced(self) -> None:
        """Have the process end, and wait until the next one serves."""
        self.serves.clear()
        self._leave.set()
        await self.serves.wait()

    async def keep(self, stop: asyncio.Event) -> None:
        """Keep the place taken until `stop` is set. Raises `worker-failed` if no process ever serves here."""
        now = asyncio.get_running_loop().time
        failures = 0
        while not stop.is_set():
            began = now()
            asked = await self._take(stop)
            if asked:
                failures = 0
                continue
            failures = 1 if now() - began >= _SETTLED else failures + 1
            if not self._has_served and failures >= _FIRST_TRIES:
                raise Unavailable(
                    "worker-failed",
                    f"The process {self.number} of the hub ended {failures} times before it served.",
                    mend="Its log lines say why.",
                )
            wait = min(_FIRST_WAIT * 2.0 ** min(failures - 1, 30), _LONGEST_WAIT)
            await sleep_unless(stop, wait * self._chance.uniform(0.8, 1.2))

    async def _take(self, stop: asyncio.Event) -> bool:
        """Run one process to its end; False if that came unasked."""
        self._leave.clear()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                worker = Worker(self.number, self._listener.fileno(), theirs.fileno())
                program = await asyncio.create_subprocess_exec(
                    *self._command(worker),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(worker.listener, worker.line),
                    # A session of its own: Ctrl-C in a terminal reaches the watching process alone.
                    start_new_session=True,
                )
            ours.setblocking(False)
            over = asyncio.create_task(program.wait())
            asked = [asyncio.create_task(event.wait()) for event in (stop, self._leave)]
            word = asyncio.create_task(self._word(ours))
            try:
                await asyncio.wait([over, *asked], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (*asked, word):
                    task.cancel()
                await _end(program, self._grace)
            unasked = over.done() and not (stop.is_set() or self._leave.is_set())
            if unasked:
                self.serves.clear()
                log.error("worker.ended", worker=self.number, status=program.returncode)
            return not unasked

    async def _word(self, line: socket.socket) -> None:
        """Wait for the process to say that it serves."""
        if await asyncio.get_running_loop().sock_recv(line, 1):
            self._has_served = True
            self.serves.set()
            log.info("worker.serves", worker=self.number)


async def _end(program: asyncio.subprocess.Process, grace: float) -> None:
    """Ask `program` to end, and end it when it does not."""
    with contextlib.suppress(ProcessLookupError):
        program.terminate()
    try:
        async with asyncio.timeout(grace):
            await program.wait()
    except TimeoutError:
        log.error("worker.killed", pid=program.pid, grace_seconds=grace)
        program.kill()
        await program.wait()
