"""Small parts by themselves: waits, reasons, work done together, and pools that outlive a fault."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import pytest

from node.settings_exchange import BackoffSettings, ReceiverSettings
from node.store.records import Trouble
from node.usecases.backoff import longest_rest, reconnect_after, wait_after
from node.usecases.lanes import lane_of
from node.usecases.together import Together
from node.usecases.work import Work
from node.workers.pool import Found, Pool
from runtime.wakeups import Wakeups
from schemas.errors import Unavailable
from schemas.message import Priority
from schemas.reasons import LONGEST, plain_reason
from tests.node.core.node_under_test import QUICK, Clock, eventually


@pytest.mark.parametrize(
    ("failures", "least", "most"), [(1, 0.8, 1.2), (2, 1.6, 2.4), (4, 6.4, 9.6), (13, 2880, 4320), (10_000, 2880, 4320)]
)
def test_waits_double_up_to_the_longest_and_are_spread(failures: int, least: float, most: float) -> None:
    """The wait is the first, doubled for each failure, at most the longest, spread by a fifth either way."""
    waits = [wait_after(failures, BackoffSettings(), Random(seed)) for seed in range(200)]
    assert least <= min(waits) < (least + most) / 2 < max(waits) <= most


def test_the_wait_that_was_asked_for_is_never_cut() -> None:
    """A wait that the peer asked for is kept, and spread upwards only; but not beyond the longest."""
    waits = [wait_after(1, BackoffSettings(), Random(seed), asked=120.0) for seed in range(200)]
    assert 120 <= min(waits) < 125
    assert 135 < max(waits) <= 144
    assert wait_after(1, BackoffSettings(), Random(1), asked=1e9) <= 3600 * 1.2
    short = BackoffSettings(longest=2.0)
    assert wait_after(1, short, Random(1), asked=300.0) >= 300
    assert timedelta(seconds=wait_after(1, short, Random(1), asked=1e9)) <= longest_rest(short)


@pytest.mark.parametrize("away", [3.0, 90.0, 3600.0])
def test_the_nodes_of_a_hub_that_returns_do_not_come_at_once(away: float) -> None:
    """200 nodes lose their hub in one moment; when it is back, no second brings more than a third of them."""
    settings = ReceiverSettings()

    def first_request(node: int) -> float:
        chance, at, failures = Random(node), 0.0, 0
        while at < away:
            failures += 1
            at += reconnect_after(failures, settings.backoff, settings.spread, chance)
        return at

    requests = sorted(first_request(node) for node in range(200))
    busiest = max(sum(1 for at in requests if second <= at < second + 1) for second in requests)
    assert busiest <= 67


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Sai\r\nthể thức\x00\x1b[31m", "Sai thể thức [31m"),
        ("", "No reason was given."),
        ("\ud800\uffff \t", "No reason was given."),
        ("x" * 600, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_reasons_are_one_line_that_xml_carries(text: str, plain: str) -> None:
    """Whatever software gives as a reason becomes one line of bounded length that a receipt can carry."""
    assert plain_reason(text) == plain


def test_express_has_the_first_lane() -> None:
    """Both express priorities share lane 0, and the others follow in order."""
    assert [lane_of(priority) for priority in Priority] == [3, 2, 1, 0, 0]


async def test_what_comes_while_work_is_under_way_is_done_together() -> None:
    """What comes at one moment is one batch, all that comes meanwhile the next; each caller gets its end."""
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def work(items: list[int]) -> None:
        batches.append(items)
        await gate.wait()

    together = Together(work)
    calls = [asyncio.create_task(together(number)) for number in range(2)]
    await eventually(lambda: len(batches) == 1)
    calls += [asyncio.create_task(together(number)) for number in range(2, 5)]
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)
    gate.set()
    await asyncio.gather(*calls)
    assert batches == [[0, 1], [2, 3, 4]]


async def test_a_failing_batch_fails_its_callers_alone() -> None:
    """An error goes to those whose batch it was; the next batch is worked on."""

    gate = asyncio.Event()

    async def work(items: list[str]) -> None:
        await gate.wait()
        if "bad" in items:
            raise ValueError("bad")

    together = Together(work)
    failing = asyncio.create_task(together("bad"))
    for _ in range(3):
        await asyncio.sleep(0)
    following = asyncio.create_task(together("good"))
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(failing, following, return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert results[1] is None


async def test_when_the_one_who_works_is_cancelled_its_batch_is_told() -> None:
    """A caller whose batch was broken off by another's cancellation gets an error; who waits is served by another."""
    gate = asyncio.Event()
    batches: list[list[int]] = []

    async def work(items: list[int]) -> None:
        batches.append(items)
        if 1 in items:
            await gate.wait()

    together = Together(work)
    leader, beside = (asyncio.create_task(together(number)) for number in (1, 2))
    await eventually(lambda: len(batches) == 1)
    following = asyncio.create_task(together(3))
    await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(Unavailable):
        await beside
    await following
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert batches == [[1, 2], [3]]


async def test_whose_turn_comes_when_it_is_cancelled_leaves_it_to_the_next() -> None:
    """A caller that is cancelled in the moment in which it should do the work leaves nobody waiting."""
    gate = asyncio.Event()
    batches: list[list[int]] = []

    async def work(items: list[int]) -> None:
        batches.append(items)
        if items == [1]:
            await gate.wait()

    together = Together(work)

    async def first() -> None:
        await together(1)
        # Nothing else has run since the turn was passed on.
        cancelled.cancel()

    working = asyncio.create_task(first())
    await eventually(lambda: len(batches) == 1)
    cancelled, last = (asyncio.create_task(together(number)) for number in (2, 3))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(working, last)
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await together(4)
    assert batches == [[1], [2, 3], [4]]


async def test_nobody_is_kept_by_the_work_of_others() -> None:
    """Whoever worked for all returns with its own batch, however much has come meanwhile; no batch is above `most`."""
    batches: list[list[int]] = []
    gates = [asyncio.Event() for _ in range(3)]

    async def work(items: list[int]) -> None:
        batches.append(items)
        await gates[len(batches) - 1].wait()

    together = Together(work, most=2)
    first = asyncio.create_task(together(0))
    await eventually(lambda: len(batches) == 1)
    others = [asyncio.create_task(together(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    gates[0].set()
    await first
    assert not any(other.done() for other in others)
    gates[1].set()
    await asyncio.gather(*others[:2])
    assert not others[2].done()
    gates[2].set()
    await others[2]
    assert batches == [[0], [1, 2], [3]]


@dataclass(frozen=True, slots=True)
class Number:
    value: int
    lane: int = 3


class Numbers:
    """A queue of numbers. `faults` are raised at a number's first try; `at_starts` is how many ran as each set out."""

    name = "numbers"
    work = Work.SENDING
    parallel = 3
    longest_rest = timedelta(seconds=1)

    def __init__(self, count: int, faults: dict[int, Exception]) -> None:
        self.left = [Number(value) for value in range(count)]
        self.done: list[Number] = []
        self.running = 0
        self.at_starts: list[int] = []
        self.put_off_rows: list[tuple[int, str]] = []
        self._faults = faults

    async def look(self, limit: int, running: Collection[Number]) -> Found[Number]:
        return Found(self.left[:limit], None)

    async def wake_due(self) -> None: ...

    async def recover(self) -> None: ...

    def key(self, row: Number) -> int:
        return row.value

    def admits(self, row: Number, running: Collection[Number]) -> bool:
        return row not in running

    async def put_off(self, row: Number, trouble: Trouble) -> None:
        self.put_off_rows.append((row.value, trouble.code))
        self.left.remove(row)

    async def do(self, row: Number) -> None:
        self.running += 1
        self.at_starts.append(self.running)
        try:
            await asyncio.sleep(0.02)
            fault = self._faults.pop(row.value, None)
            if fault is not None:
                raise fault
            self.left.remove(row)
            self.done.append(row)
        finally:
            self.running -= 1


async def test_a_pool_outlives_faults_and_keeps_its_measure() -> None:
    """An absent peer does not end a pool; all is done, never more at once than allowed."""
    queue = Numbers(20, {7: Unavailable("hub-unreachable", "Gone.")})
    async with at_work(queue):
        await eventually(lambda: len(queue.done) == 20)
    assert sorted(done.value for done in queue.done) == list(range(20))
    assert max(queue.at_starts) == 3


async def test_a_row_that_this_program_fails_on_rests_and_stops_no_other() -> None:
    """A fault of ours puts its row off, saying so; the others go on side by side as if it were not there."""
    queue = Numbers(9, {row: RuntimeError("a fault of ours") for row in (0, 1, 2)})
    async with at_work(queue):
        await eventually(lambda: len(queue.done) == 6)
    assert queue.put_off_rows == [(0, "internal"), (1, "internal"), (2, "internal")]
    assert queue.at_starts[3:6] == [1, 2, 3], "the pool paused, though nothing is wrong with the hub"


@contextlib.asynccontextmanager
async def at_work(queue: Numbers) -> AsyncIterator[None]:
    pool = Pool(queue, Wakeups(), clock=Clock(), backoff=QUICK, spread=0.1, chance=Random(3))
    stop = asyncio.Event()
    running = asyncio.create_task(pool.run(stop))
    yield
    stop.set()
    await asyncio.wait_for(running, 5)


async def test_after_a_failure_one_probes_before_the_others_follow() -> None:
    """While the peer is away a pool tries one row at a time, not all of them."""
    away: dict[int, Exception] = {number: Unavailable("hub-unreachable", "Gone.") for number in range(3)}
    queue = Numbers(6, away)
    pool = Pool(queue, Wakeups(), clock=Clock(), backoff=QUICK, spread=0.1, chance=Random(3))
    stop = asyncio.Event()
    running = asyncio.create_task(pool.run(stop))
    await eventually(lambda: len(queue.done) == 6)
    stop.set()
    await asyncio.wait_for(running, 5)
    # Three set out together and failed; then one by itself; only after it came through did others set out together.
    assert queue.at_starts[:5] == [1, 2, 3, 1, 1]
    assert max(queue.at_starts[5:]) == 3


async def test_express_probes_beside_an_ordinary_probe() -> None:
    """While the peer is thought away and a large ordinary document probes, an express one is tried all the same."""
    queue = Numbers(1, {0: Unavailable("hub-unreachable", "Gone.")})
    stuck, goes_on, stop, do = asyncio.Event(), asyncio.Event(), asyncio.Event(), queue.do

    async def probe(row: Number) -> None:
        if row.lane and 0 not in queue._faults:
            stuck.set()
            await goes_on.wait()
        await do(row)

    queue.do = probe  # type: ignore[method-assign]  # the first row's second try is long
    wakeups = Wakeups()
    pool = Pool(queue, wakeups, clock=Clock(), backoff=QUICK, spread=0.1, chance=Random(3))
    running = asyncio.create_task(pool.run(stop))
    await asyncio.wait_for(stuck.wait(), 5)
    express = Number(1, lane=0)
    queue.left.insert(0, express)
    wakeups.wake(Work.SENDING)
    await eventually(lambda: queue.done == [express])
    goes_on.set()
    stop.set()
    await asyncio.wait_for(running, 5)
