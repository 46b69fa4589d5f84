"""`kill -9` at each step of a message's way, then a restart: it arrives once, its receipts arrive, the count balances.

A step is a commit, a sync or a rename; the kill comes right before it or right after it. A run takes some of the steps,
in the same order always; `--every-kill` takes all of them.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest

from congvan.demo.programs import Program
from congvan.demo.site import Site
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from hub.usecases.balance import balance_of
from tests.programs import exchange
from tests.programs.ways import Walk, Way, open_walk

#: Kills of each program on one way, unless every one is asked for.
_SOME = 2
#: Seconds after which what a program was doing when its order was taken back is done, or it is dead.
_LAST_STEP = 0.3


@pytest.mark.programs
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("way", list(Way))
async def test_killed_at_each_step(way: Way, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Killed right before or after any commit, sync or rename of a way, no program on it loses or doubles anything."""
    site = exchange.site(tmp_path, faulty=True)
    await site.set_up()
    try:
        await site.start_nodes()
        async with open_walk(site, way) as walk:
            begun = 0
            for name in ("hub", "node-G22", "node-H23"):
                begun = await kill_along(walk, name, begun, every=request.config.getoption("--every-kill"))
            await everything_arrived_once(walk, begun)
    finally:
        await site.stop()


async def kill_along(walk: Walk, name: str, begun: int, *, every: bool) -> int:
    """Walk on after the first `begun` messages, a kill of the program `name` on each; gives how many have begun now.

    How many steps a message takes hangs on what shares a commit with it: one may arrive before the step of its kill.
    """
    program = walk.site.programs[name]
    # What the kills of another program left under way would be counted as steps of one message.
    if begun:
        await everything_arrived_once(walk, begun)
    counted = await steps(walk, name, begun)
    begun += 1
    kills = [(moment, step) for step in range(1, counted + 1) for moment in ("before", "after")]
    if not every:
        random.Random(f"{walk.way} {name}").shuffle(kills)
    wanted = len(kills) // 2 if every else _SOME
    struck, unreached = 0, counted + 1
    for moment, step in kills:
        if not every and (struck == wanted or step >= unreached):
            continue
        await walk.prepare(begun)
        exchange.order(walk.site, name, f"{moment} {step}")
        walk.begin(begun)
        await exchange.until(partial(died_or_arrived, walk, program, begun), f"{moment} step {step} of {name}")
        exchange.order(walk.site, name, "")
        # A message that is complete may still be followed by the step of the kill: it comes now or not at all.
        await asyncio.sleep(_LAST_STEP)
        begun += 1
        if program.is_running:
            unreached = min(unreached, step)
        else:
            struck += 1
            await revive(walk.site, name)
    assert struck >= wanted, f"only {struck} kills struck, of {wanted}"
    return begun


async def steps(walk: Walk, name: str, number: int) -> int:
    """How many commits, syncs and renames the program `name` makes for one message, up to the last receipt."""
    await walk.prepare(number)
    names = walk.site.folder / f"steps-{name}"
    exchange.order(walk.site, name, f"count {names}")
    walk.begin(number)
    await everything_arrived_once(walk, number + 1)
    exchange.order(walk.site, name, "")
    counted = len(names.read_text().splitlines())
    # Three at least follow from each other in each program: at the hub accepted, handed out, receipted.
    assert counted >= 3, "too few steps were seen: the launcher's wrapping does not work"
    return counted


async def revive(site: Site, name: str) -> None:
    exchange.order(site, name, "")
    if name == "hub":
        await site.start_hub()
    else:
        await site.programs[name].start()


async def died_or_arrived(walk: Walk, program: Program, number: int) -> bool:
    """Whether the program died, or the message came all the way: to the last receipt, where the kill may strike too."""
    return not program.is_running or await walk.is_complete(number)


async def everything_arrived_once(walk: Walk, messages: int) -> None:
    """Every message came out once, its sender has every receipt, and the hub's count balances with none pending."""
    for number in range(messages):
        await exchange.until(partial(walk.is_complete, number), walk.named(number))
    assert await walk.arrived() == sorted(walk.named(number) for number in range(messages))
    async with open_hub(HubFolder(walk.site.hub_folder)) as hub:

        async def nothing_pending() -> bool:
            balance = await balance_of(hub.database)
            return balance.balances and balance.overall.pending == 0

        await exchange.until(nothing_pending, "the hub to run dry")
