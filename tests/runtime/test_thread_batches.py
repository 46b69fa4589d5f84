"""Work done a batch to a thread: shared by those who ask at once, and nobody's trouble but its own asker's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime.thread_batches import BATCH, ThreadBatches


class Halver:
    """Halves even numbers, refuses odd ones, and notes the batches; the first waits until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(numbers))
        self.began.set()
        self.let_go.wait(30)
        if 0 in numbers:
            raise ZeroDivisionError
        return [ValueError(number) if number % 2 else number // 2 for number in numbers]


async def begun(halver: Halver, halves: ThreadBatches[int, int]) -> asyncio.Task[int]:
    """A first batch that is under way."""
    first = asyncio.create_task(halves(2))
    assert await asyncio.to_thread(halver.began.wait, 30)
    return first


async def test_what_is_handed_in_at_once_goes_together() -> None:
    """Those who ask in the same turn of the event loop share a hop, the first of them too."""
    halver = Halver()
    halver.let_go.set()
    halves = ThreadBatches[int, int](halver)
    assert await asyncio.gather(*map(halves, (2, 4, 6))) == [1, 2, 3]
    assert halver.batches == [[2, 4, 6]]


async def test_what_waits_makes_the_next_batch() -> None:
    """What is handed in while a batch is worked on goes together, in its order, and each gets its own outcome."""
    halver = Halver()
    halves = ThreadBatches[int, int](halver)
    first = await begun(halver, halves)
    others = [asyncio.create_task(halves(number)) for number in (4, 6, 8)]
    await asyncio.sleep(0)
    halver.let_go.set()
    assert await asyncio.gather(first, *others) == [1, 2, 3, 4]
    assert halver.batches == [[2], [4, 6, 8]]


async def test_an_error_is_its_askers_alone() -> None:
    """An exception among the outcomes is raised where that item was handed in, and nowhere else."""
    halver = Halver()
    halver.let_go.set()
    halves = ThreadBatches[int, int](halver)
    found = await asyncio.gather(halves(4), halves(3), halves(6), return_exceptions=True)
    assert (found[0], str(found[1]), found[2]) == (2, "3", 3)


async def test_a_batch_that_fails_as_a_whole_tells_all_of_it() -> None:
    """If the work itself raises, everyone in the batch is told, and the next batch is worked on."""
    halver = Halver()
    halves = ThreadBatches[int, int](halver)
    first = await begun(halver, halves)
    doomed = [asyncio.create_task(halves(number)) for number in (4, 0)]
    await asyncio.sleep(0)
    halver.let_go.set()
    found = await asyncio.gather(*doomed, return_exceptions=True)
    assert [type(each) for each in found] == [ZeroDivisionError, ZeroDivisionError]
    assert (await first, await halves(10)) == (1, 5)


async def test_a_cancelled_caller_takes_nobody_along() -> None:
    """Whoever began the batch may go: it is done all the same for those who wait with it."""
    halver = Halver()
    halves = ThreadBatches[int, int](halver)
    first = await begun(halver, halves)
    other = asyncio.create_task(halves(4))
    await asyncio.sleep(0)
    first.cancel()
    halver.let_go.set()
    assert await other == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_batch_is_bounded() -> None:
    """No batch is longer than its bound, however much waits; the rest is done as well."""
    halver = Halver()
    halver.let_go.set()
    halves = ThreadBatches[int, int](halver)
    numbers = range(2, 6 * BATCH, 2)
    assert await asyncio.gather(*map(halves, numbers)) == [number // 2 for number in numbers]
    assert max(map(len, halver.batches)) <= BATCH


async def test_after_the_end_nothing_is_taken() -> None:
    """With its threads gone, each asker is told so, and none waits for ever."""
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    halves = ThreadBatches[int, int](Halver(), executor=executor)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="shutdown"):
            await halves(2)
