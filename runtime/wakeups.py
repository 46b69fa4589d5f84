"""Wake-ups: hints that something waits. They may be lost; whoever waits checks the database again now and then."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from pathlib import Path
from typing import Final

#: The key under which `wake_all` is carried to other processes.
EVERYTHING: Final[Hashable] = "everything"


class Wakeups:
    """Wake-ups by key. Each waiter costs one event.

    They stay inside the process until something carries them to others that share its database.
    """

    def __init__(self) -> None:
        self._events: dict[Hashable, set[asyncio.Event]] = {}
        self._carry: Callable[[Hashable], None] | None = None

    def carry_with(self, carry: Callable[[Hashable], None]) -> None:
        """Hand every key that is woken from now on to `carry` as well, which neither waits nor fails."""
        self._carry = carry

    @contextlib.contextmanager
    def listen(self, key: Hashable) -> Iterator[asyncio.Event]:
        """An event that `wake(key)` sets. Register first, then look at the database, then wait: nothing is missed."""
        event = asyncio.Event()
        self._events.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            listeners = self._events[key]
            listeners.discard(event)
            if not listeners:
                del self._events[key]

    def wake(self, key: Hashable) -> None:
        """Wake whoever listens to `key`, in this process and wherever wake-ups are carried to."""
        self.wake_here(key)
        if self._carry is not None:
            self._carry(key)

    def wake_here(self, key: Hashable) -> None:
        """Wake whoever listens to `key` in this process: nobody else is concerned, or others have heard of it."""
        if key == EVERYTHING:
            for events in self._events.values():
                for event in events:
                    event.set()
        for event in self._events.get(key, ()):
            event.set()

    def wake_all(self) -> None:
        """Wake every waiter: something changed, and nobody knows whom it concerns."""
        self.wake(EVERYTHING)


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """True if `event` was set within `seconds`; it is cleared for the next wait."""
    # Not `wait_for`: in Python 3.11 it loses a cancellation that comes in the moment in which the event is set.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    woken = event.is_set()
    event.clear()
    return woken


@contextlib.asynccontextmanager
async def doorbell(path: Path, event: asyncio.Event) -> AsyncIterator[None]:
    """Let other processes of this machine set `event` by `ring(path)`: a datagram socket, for its owner alone."""
    path.unlink(missing_ok=True)
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    # A socket's address holds 107 bytes; a path through the open folder is short however deep the folder lies.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    loop = asyncio.get_running_loop()

    def answer() -> None:
        with contextlib.suppress(BlockingIOError):
            while bell.recv(1):
                pass
        event.set()

    try:
        bell.bind(f"/proc/self/fd/{folder}/{path.name}")
        path.chmod(0o600)
        loop.add_reader(bell, answer)
        yield
    finally:
        loop.remove_reader(bell)
        bell.close()
        os.close(folder)
        path.unlink(missing_ok=True)


def ring(path: Path) -> bool:
    """Wake the process that holds the doorbell at `path`; False, and nothing happens, if none does."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bell:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                bell.sendto(b"\x01", f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
    except BlockingIOError:
        return True  # it has been rung so often that it will look anyway
    except OSError:
        return False
    return True
