"""The kit's watch over the event loop: whom it blames, and whom not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from adapters.kit import standstill


def seen_from_beside(loop_thread: int, fits: Callable[[str], bool]) -> str:
    """Where the loop stands, as soon as that fits; what it was at the last, if it never does."""
    ends = time.monotonic() + 30
    while not fits(place := standstill._place(loop_thread)) and time.monotonic() < ends:
        time.sleep(0.001)
    return place


async def test_a_loop_that_waits_is_nobodys_fault() -> None:
    """While no call of the loop is under way nothing is blamed, however long its thread gets no turn."""
    place = await asyncio.to_thread(seen_from_beside, threading.get_ident(), lambda place: not place)
    assert place == ""


async def test_a_call_that_blocks_is_named_with_its_line() -> None:
    """A call that keeps the loop is blamed by the line at which it stands."""
    found: list[str] = []
    watcher = threading.Thread(
        target=lambda thread: found.append(seen_from_beside(thread, lambda place: __file__ in place)),
        args=(threading.get_ident(),),
    )
    watcher.start()
    while watcher.is_alive():
        time.sleep(0.001)  # noqa: ASYNC251 - it is what is to be seen
    assert found[0].startswith(f"{__file__}:")
