"""Word to the service manager that started this program: ready, stopping, still alive (sd_notify(3)).

Without NOTIFY_SOCKET in the environment nobody listens, and nothing is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Self

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServiceNotice:
    """Says to the service manager how this process does.

    `address` is its datagram socket (None: nobody listens); `alive_every` the seconds between two signs of life (None:
    it does not watch).
    """

    address: str | None = None
    alive_every: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, *, pid: int | None = None) -> Self:
        """What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID ask for, of the process `pid` (None: this one)."""
        address = environment.get("NOTIFY_SOCKET") or None
        microseconds = environment.get("WATCHDOG_USEC", "")
        # The variables are inherited: a watchdog that is another process's is none of ours.
        ours = environment.get("WATCHDOG_PID") in (None, str(os.getpid() if pid is None else pid))
        watched = address is not None and ours and microseconds.isdecimal() and int(microseconds) > 0
        # Half of what is asked for, as sd_watchdog_enabled(3) advises.
        return cls(address, int(microseconds) / 2_000_000 if watched else None)

    def ready(self, status: str) -> None:
        """The program serves. `status` is what `systemctl status` shows of it."""
        self._say(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The program has begun to end."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """The event loop runs."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if self.address is None:
            return
        # A leading @ stands for the NUL byte of a socket in the abstract namespace.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # Never waited for: a manager that is busy gets the next word.
                channel.setblocking(False)
                channel.sendto(text.encode(), address)
        except OSError as error:
            log.warning("service-manager.unreachable", address=self.address, error=str(error))


@contextlib.asynccontextmanager
async def watched(notice: ServiceNotice, stop: asyncio.Event) -> AsyncIterator[None]:
    """While inside, say as often as is asked for that the event loop runs, and once, at `stop`, that it ends."""

    async def say_stopping() -> None:
        await stop.wait()
        notice.stopping()

    async def say_alive(every: float) -> None:
        while True:
            notice.alive()
            await asyncio.sleep(every)

    sayings = [asyncio.create_task(say_stopping())]
    if notice.alive_every is not None:
        sayings.append(asyncio.create_task(say_alive(notice.alive_every)))
    try:
        yield
    finally:
        for saying in sayings:
            saying.cancel()
        await asyncio.gather(*sayings, return_exceptions=True)
