"""Seeing that an adapter blocks the event loop, and where."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

#: A node has many adapters and connections on one loop: what stands still so long is felt by all of them.
LONGEST = 1.0
_BEAT = 0.02
#: asyncio's name for one turn of its loop: what stands below it on the stack called the loop.
_TURN = "_run_once"


@dataclass(slots=True)
class Standstill:
    """The longest time for which the loop stood still, in seconds, and the line at which it did."""

    seconds: float = 0.0
    place: str = ""


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[Standstill]:
    """Watch the loop of the caller. A machine that is busy slows the watching thread as well, and is not blamed; nor is
    anybody for a loop that waits for its turn with none of its calls under way."""
    worst = Standstill()
    beat = time.monotonic()
    ended = threading.Event()
    thread = threading.get_ident()

    def watch() -> None:
        still = before = 0.0
        place = ""
        seen = beat
        last = time.monotonic()
        while not ended.wait(_BEAT):
            now = time.monotonic()
            stands_at = _place(thread) if beat == seen else ""
            # A pause of this thread itself counts for no more than its beat.
            still = still + min(now - last, 2 * _BEAT) if stands_at else 0.0
            seen, last = beat, now
            # Where it stands is seen in the middle of it: in the end it is on its way elsewhere.
            if still > LONGEST / 2 >= before:
                place = stands_at
            before = still
            if still > worst.seconds:
                worst.seconds, worst.place = still, place

    async def pulse() -> None:
        nonlocal beat
        while True:
            beat = time.monotonic()
            await asyncio.sleep(_BEAT)

    watcher = threading.Thread(target=watch, name="kit.standstill", daemon=True)
    watcher.start()
    pulsing = asyncio.create_task(pulse())
    try:
        yield worst
    finally:
        pulsing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pulsing
        ended.set()
        watcher.join()


def _place(thread: int) -> str:
    """The line at which a call of the loop stands, outside asyncio; empty if there is none, or it is the kit's own."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the one way to see where another thread is
    while frame is not None and frame.f_code.co_name != _TURN:
        name = frame.f_code.co_filename
        if "asyncio" not in name and not name.endswith("selectors.py"):
            return "" if "adapters/kit/" in name else f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
