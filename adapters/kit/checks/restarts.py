"""Hand-overs that end in the middle: cancelled at an await, killed at a system call."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from adapters.kit.ledger import Ledger
from adapters.kit.messages import Case
from adapters.kit.stage import Failed, Stage, answered
from adapters.kit.stepping import stepped
from adapters.kit.victims import Victims
from adapters.sdk import Accepted, Adapter, Later

#: At so many awaits of a hand-over it is cancelled, spread over all that it has.
_CANCELLED: Final = 24

_MEND = "Let each try begin anew, and commit the key together with the message as the last step."


async def cancelled(stage: Stage, ledger: Ledger) -> None:
    async with stage.opened() as adapter:
        awaits = await _cancelled_at(stage, adapter, stage.repertoire.ordinary(), None)
        for place in _spread(awaits, _CANCELLED):
            ledger.tried()
            case = stage.repertoire.ordinary()
            await _cancelled_at(stage, adapter, case, place)
            done = f"Cancelled the hand-over of {case.title} at its {place}. await, and delivered it again."
            await _require_once(stage, ledger, adapter, case, done)
    case = stage.repertoire.ordinary()
    async with stage.opened() as adapter:
        ledger.tried()
        await _cancelled_at(stage, adapter, case, max(1, awaits // 2))
    async with stage.opened() as adapter:
        done = f"Cancelled the hand-over of {case.title}, closed the adapter, made it again, and delivered it again."
        await _require_once(stage, ledger, adapter, case, done)


async def _cancelled_at(stage: Stage, adapter: Adapter, case: Case, last: int | None) -> int:
    """Deliver `case`, cancelled at the await numbered `last`; how many it came to."""
    stage.node.know([case])
    awaits = 0

    def at_each() -> None:
        nonlocal awaits
        awaits += 1
        task = asyncio.current_task()
        if awaits == last and task is not None:
            task.cancel()

    async def work() -> None:
        await stepped(adapter.deliver(case.delivery), at_each)

    task = asyncio.create_task(work(), name="deliver, cancelled")
    with contextlib.suppress(asyncio.CancelledError, Exception):
        async with asyncio.timeout(stage.patience):
            await task
    return awaits


async def killed(stage: Stage, ledger: Ledger) -> None:
    victims = await Victims.begin(stage)
    if victims is None:
        ledger.could_not_see("a kill: the adapter cannot be imported by its name in another process")
        return
    async with victims:
        steps = await victims.steps(stage.repertoire.ordinary())
        if steps is None:
            ledger.could_not_see(f"a kill: {victims.trouble or 'the other process could not hand over'}")
            return
        for place in _spread(steps, victims.kills):
            ledger.tried()
            case = stage.repertoire.ordinary()
            await victims.killed_at(place, case)
            async with stage.opened() as adapter:
                done = (
                    f"Killed the process at step {place} of {steps} of delivering {case.title}, and delivered it again."
                )
                await _require_once(stage, ledger, adapter, case, done)


async def _require_once(stage: Stage, ledger: Ledger, adapter: Adapter, case: Case, done: str) -> None:
    answer = await stage.hand_over(adapter, case)
    if isinstance(answer, Accepted):
        await stage.require_shown(ledger, case, done)
    elif isinstance(answer, Later | Failed) or stage.probe is not None:
        ledger.broke(done=done, expected="It is handed over in the end.", happened=answered(answer), mend=_MEND)
    else:
        ledger.could_not_see("what is fetched: there is no probe that fetches")


def _spread(count: int, most: int) -> list[int]:
    """At most `most` numbers from 1 to `count`, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(place * (count - 1) / (most - 1)) for place in range(most)}) if most > 1 else [count]
