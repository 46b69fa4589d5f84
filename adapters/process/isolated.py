"""The node's end: an adapter whose process is started, asked, watched, killed when it hangs, and started again.

A call that the process cannot answer fails as `Unavailable`, so a hand-over is tried again later. What the process had
under way when it died it gets again, under the same keys, as after a crash of the whole node.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import structlog

from adapters.process.channel import Channel
from adapters.process.node_side import NodeSide
from adapters.sdk import AdapterContext, Delivery, Guarantee, Health, Outcome
from schemas.errors import CongvanError, Unavailable

log = structlog.get_logger()

#: What of the environment the process gets: where Python and its packages are, the languages, the time zone.
_ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ")
#: Seconds that a process has to end by itself when it is told to.
_GRACE: Final = 5.0
#: Seconds at least that it may take to start: Python reads its libraries from a disk that may be busy.
_OPENING: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTerms:
    """`patience`: seconds in which the process answers a ping, or is killed; `memory`: bytes of its address space.

    `log_format` and `log_level` are those of the node, to whose standard error the process writes.
    """

    patience: float
    memory: int | None
    log_format: str
    log_level: str


@dataclass(frozen=True, slots=True)
class _Child:
    process: asyncio.subprocess.Process
    channel: Channel
    node_side: NodeSide
    reading: asyncio.Task[None]


class IsolatedAdapter:
    """An `adapters.sdk.Adapter` that lives in a child process."""

    #: What is true of every adapter. What this one promises beyond it, its class says, to which the test kit holds it.
    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE

    def __init__(self, adapter: str, context: AdapterContext, terms: ProcessTerms) -> None:
        self._adapter = adapter
        self._context = context
        self._terms = terms
        self._child: _Child | None = None
        self._starting = asyncio.Lock()
        self._told: object = None

    async def open(self) -> None:
        """Start the process for the first time. Raises what the adapter rejects of its settings.

        One that cannot start for other reasons is started again by `run`.
        """
        try:
            await self._running()
        except Unavailable as error:
            log.error("adapter.process-failed", adapter=self._context.name, reason=error.message)

    async def deliver(self, delivery: Delivery) -> Outcome:
        child = self._ready()
        await self._tell_codes(child)
        outcome: Outcome = await child.channel.call("deliver", delivery)
        return outcome

    async def run(self, stop: asyncio.Event) -> None:
        """Be the adapter's source, in a process that answers. Raises Unavailable when that has ended or hung."""
        child = await self._running()
        running = asyncio.create_task(child.channel.call("run"))
        watching = asyncio.create_task(self._watch(child))
        stopping = asyncio.create_task(stop.wait())
        tasks = (running, watching, stopping)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                with contextlib.suppress(CongvanError):
                    async with asyncio.timeout(_GRACE):
                        await child.channel.call("stop")
                        await running
                return
            for task in (watching, running):
                if task.done():
                    task.result()
        except TimeoutError:
            log.warning("adapter.process-does-not-stop", adapter=self._context.name)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def health(self) -> Health:
        health: Health = await self._ready().channel.call("health")
        return health

    async def close(self) -> None:
        child = self._child
        if child is None:
            return
        with contextlib.suppress(TimeoutError, CongvanError):
            async with asyncio.timeout(_GRACE):
                await child.channel.call("close")
        await self._end(child)

    def _ready(self) -> _Child:
        if self._child is None or self._child.reading.done():
            raise Unavailable(
                "adapter-process-ended",
                f"The process of the adapter {self._context.name} is not running.",
                mend="It is started again by itself; the log says how it ended.",
            )
        return self._child

    async def _running(self) -> _Child:
        async with self._starting:
            if self._child is not None and self._child.reading.done():
                await self._end(self._child)
            if self._child is None:
                self._child = await self._started()
            return self._child

    async def _started(self) -> _Child:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "adapters.process", str(theirs.fileno())),
                *(self._terms.log_format, self._terms.log_level),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if _has_number(sys.stderr) else asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        node_side = NodeSide(self._context.node)
        reader, writer = await asyncio.open_connection(sock=ours)
        channel = Channel(reader, writer, node_side.answer)
        reading = asyncio.create_task(channel.serve())
        child = _Child(process, channel, node_side, reading)
        context = self._context
        served = tuple(context.node.served_codes)
        try:
            async with asyncio.timeout(max(_OPENING, self._terms.patience)):
                place = (context.name, context.settings, context.folder)
                await channel.call("open", self._adapter, place, served, self._terms.memory)
        except TimeoutError as error:
            await self._end(child)
            raise Unavailable(
                "adapter-hangs", f"The process of the adapter {context.name} took too long to start."
            ) from error
        except BaseException:
            await self._end(child)
            raise
        log.info("adapter.process-started", adapter=context.name, pid=process.pid)
        return child

    async def _watch(self, child: _Child) -> None:
        """Ping until the process is gone or does not answer, which ends it. Raises Unavailable."""
        while True:
            try:
                async with asyncio.timeout(self._terms.patience):
                    await child.channel.call("ping")
                await self._tell_codes(child)
            except TimeoutError as error:
                await self._end(child)
                raise Unavailable(
                    "adapter-hangs",
                    f"The adapter {self._context.name} did not answer for {self._terms.patience:g} seconds"
                    " and was killed.",
                ) from error
            await asyncio.sleep(self._terms.patience / 4)

    async def _tell_codes(self, child: _Child) -> None:
        served = self._context.node.served_codes
        if served is not self._told:
            await child.channel.call("serves", tuple(served))
            self._told = served

    async def _end(self, child: _Child) -> None:
        """Kill the process, if it has not ended, and let go of all that is its."""
        if self._child is child:
            self._child = None
        child.reading.cancel()
        await asyncio.gather(child.reading, return_exceptions=True)
        await child.node_side.close()
        if child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
        status = await child.process.wait()
        log.info("adapter.process-ended", adapter=self._context.name, status=status)


def _has_number(stream: Any) -> bool:
    try:
        return int(stream.fileno()) >= 0
    except (OSError, AttributeError):
        return False


async def open_isolated(adapter: str, context: AdapterContext, terms: ProcessTerms) -> IsolatedAdapter:
    """The adapter named `adapter`, in a process of its own. Raises what it rejects of its settings."""
    isolated = IsolatedAdapter(adapter, context, terms)
    await isolated.open()
    return isolated
