"""One of those who wait for mail looks for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from hub.usecases.lookout import Lookout, Waiter

#: Longer than a test takes: whoever is still waiting then was not woken.
_LONG = 30.0


@dataclass
class _Post:
    """Mail for some connections, and which of them each look asked for."""

    mail: set[str] = field(default_factory=set)
    looks: list[Collection[str]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    looked: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def found(self, among: Collection[str]) -> Collection[str]:
        async with self.looked:
            self.looks.append(among)
            self.looked.notify_all()
        return self.mail & set(among)

    async def after_looks(self, count: int) -> None:
        """Return when there were `count` looks."""
        async with self.looked:
            await asyncio.wait_for(self.looked.wait_for(lambda: len(self.looks) >= count), _LONG)

    def lookout(self) -> Lookout:
        return Lookout(self.found, seen=self.seen.append, every=0.01)


async def _wait(lookout: Lookout, waiter: Waiter) -> bool:
    """As a request does: it waits until it is woken, whoever looked meanwhile."""
    with lookout.waiting(waiter):
        while not waiter.event.is_set() and not await lookout.wait(waiter, _LONG):
            if not waiter.listens():
                return False
        return True


def _waiter(connection: str, *, listens: bool = True) -> Waiter:
    return Waiter(connection, asyncio.Event(), lambda: listens)


@contextlib.asynccontextmanager
async def _all_waiting(lookout: Lookout, *waiters: Waiter) -> AsyncIterator[list[asyncio.Task[bool]]]:
    tasks = []
    for waiter in waiters:
        tasks.append(asyncio.create_task(_wait(lookout, waiter)))
        await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_look_is_for_all_who_wait() -> None:
    """The database is asked as often for three hundred who wait as for one, and each counts as there."""
    post = _Post()
    everyone = {f"node-{number}" for number in range(300)}
    await _look_among(post, everyone, looks=3)
    assert all(set(asked) == everyone for asked in post.looks)
    assert set(post.seen) == everyone


async def test_more_than_a_snapshot_takes_are_looked_for_in_parts() -> None:
    """Two thousand who wait are asked for in several snapshots, each of them once."""
    post = _Post()
    everyone = {f"node-{number}" for number in range(2000)}
    await _look_among(post, everyone, looks=4)
    assert sorted(name for asked in post.looks[:4] for name in asked) == sorted(everyone)
    assert max(map(len, post.looks)) <= 500


async def _look_among(post: _Post, everyone: Collection[str], *, looks: int) -> None:
    """Have one of `everyone` look for all until there were so many looks."""
    lookout = post.lookout()
    with contextlib.ExitStack() as stack:
        waiters = [_waiter(name) for name in everyone]
        for waiter in waiters:
            stack.enter_context(lookout.waiting(waiter))

        async def go_on_waiting() -> None:
            while not await lookout.wait(waiters[0], _LONG):
                pass

        looking = asyncio.create_task(go_on_waiting())
        await post.after_looks(looks)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert not any(waiter.event.is_set() for waiter in waiters)


async def test_a_look_wakes_those_who_have_mail_and_no_others() -> None:
    """A lost wake-up delays mail until the next look; whoever has none waits on."""
    post = _Post(mail={"haiduong"})
    async with _all_waiting(post.lookout(), _waiter("vpcp"), _waiter("haiduong"), _waiter("hanoi")) as tasks:
        assert await asyncio.wait_for(tasks[1], _LONG)
        assert not tasks[0].done()
        assert not tasks[2].done()


async def test_when_the_one_who_looks_leaves_another_looks() -> None:
    """A request that ends, or breaks off, leaves nobody unlooked for."""
    post = _Post()
    async with _all_waiting(post.lookout(), _waiter("first"), _waiter("second"), _waiter("third")) as tasks:
        await post.after_looks(1)
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        post.looks.clear()
        await post.after_looks(2)
        assert all(set(asked) == {"second", "third"} for asked in post.looks)
        post.mail.add("third")
        assert await asyncio.wait_for(tasks[2], _LONG)


async def test_the_call_to_look_is_no_mail() -> None:
    """Who takes the place of the one who looked is not told that something came for it."""
    post = _Post()
    lookout = Lookout(post.found, seen=post.seen.append, every=_LONG)
    second = _waiter("second")
    async with _all_waiting(lookout, _waiter("first")) as tasks:
        with lookout.waiting(second):
            waiting = asyncio.create_task(lookout.wait(second, _LONG))
            await asyncio.sleep(0)
            tasks[0].cancel()
            assert await asyncio.wait_for(waiting, _LONG) is False


async def test_who_is_gone_is_woken_to_leave() -> None:
    """A request whose peer hung up does not wait on until its time is over."""
    post = _Post()
    async with _all_waiting(post.lookout(), _waiter("first"), _waiter("gone", listens=False)) as tasks:
        await asyncio.wait_for(tasks[1], _LONG)
        assert not tasks[0].done()
