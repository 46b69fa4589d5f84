"""A node whose disk fails in mid-stream, attachments that come slowly, software that is away."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from adapters.kit.ledger import Ledger
from adapters.kit.messages import Case
from adapters.kit.node import Faults
from adapters.kit.probing import BreakableProbe
from adapters.kit.stage import Failed, Stage, answered, until
from adapters.sdk import Accepted, Adapter, Later, Never, Refused

#: How long another message may need beside one that hangs, before that is told.
_BESIDE: Final = 10.0


async def broken_streams(stage: Stage, ledger: Ledger) -> None:
    async with stage.opened() as adapter:
        for faults, happening in (
            (Faults(refuse_attachments=True), "while its attachments could not be opened"),
            (Faults(break_after=0), "while its attachments broke off at once"),
            (Faults(break_after=100), "while its attachments broke off in the middle"),
        ):
            ledger.tried()
            await _broken_stream(stage, ledger, adapter, faults, happening)
        ledger.tried()
        await _slow_stream(stage, ledger, adapter)


async def _broken_stream(stage: Stage, ledger: Ledger, adapter: Adapter, faults: Faults, happening: str) -> None:
    case = stage.repertoire.ordinary()
    done = f"Delivered {case.title} {happening}."
    opened = stage.node.opened
    stage.node.faults = faults
    try:
        answer = await stage.attempt(adapter, case)
        await stage.take()
    finally:
        stage.node.faults = Faults()
    needs_them = stage.node.opened > opened
    if isinstance(answer, Accepted) and needs_them:
        ledger.broke(
            done=done,
            expected="Anything but Accepted: the software cannot have it whole.",
            happened=answered(answer),
            mend="Let what NodeApi.open_attachment raises pass, or answer Later.",
        )
    if isinstance(answer, Never | Refused):
        ledger.broke(
            done=done,
            expected="Later, or the error itself: the node's trouble passes.",
            happened=answered(answer),
            mend="Refuse only for what is wrong with the message; `Unavailable` is never that.",
        )
    done = f"{done} Then once more, when nothing failed."
    settled = await stage.hand_over(adapter, case)
    await _require_in_the_end(stage, ledger, case, settled, done)


async def _slow_stream(stage: Stage, ledger: Ledger, adapter: Adapter) -> None:
    slow = stage.repertoire.ordinary()
    hold = asyncio.Event()
    opened = stage.node.opened
    stage.node.faults = replace(Faults(), hold=hold)
    first = asyncio.create_task(stage.attempt(adapter, slow))
    await until(lambda: stage.node.opened > opened or first.done(), stage.patience)
    stage.node.faults = Faults()
    other = stage.repertoire.document("a document without attachments")
    try:
        async with asyncio.timeout(_BESIDE):
            beside = await stage.attempt(adapter, other)
    except TimeoutError:
        ledger.broke(
            done="Delivered a document whose attachment comes slowly, and another one beside it.",
            expected="The other one does not wait.",
            happened=f"It was not answered within {_BESIDE:.0f} seconds.",
            mend="Hold no lock while an attachment is read.",
        )
        beside = Later("it waited")
    hold.set()
    await _require_in_the_end(
        stage,
        ledger,
        slow,
        await stage.settled(slow, await first),
        f"Delivered {slow.title}, \
whose attachment came slowly.",
    )
    if not isinstance(beside, Later):
        await _require_in_the_end(
            stage,
            ledger,
            other,
            await stage.settled(other, beside),
            f"Delivered {other.title} \
beside one that came slowly.",
        )


async def software_away(stage: Stage, ledger: Ledger) -> None:
    if not isinstance(stage.probe, BreakableProbe):
        ledger.could_not_see("software that is away: the probe cannot break it down")
        return
    async with stage.opened() as adapter:
        case = stage.repertoire.ordinary()
        done = f"Delivered {case.title} while the software was away."
        await stage.probe.break_down()
        try:
            ledger.tried()
            answer = await stage.attempt(adapter, case)
            await _told_health(stage, ledger, adapter)
        finally:
            await stage.probe.mend()
        if isinstance(answer, Accepted | Never | Refused):
            ledger.broke(
                done=done,
                expected="Later, or an error: the software comes back.",
                happened=answered(answer),
                mend="Answer Accepted only when the software has said so, and refuse only what it refused for good.",
            )
        settled = await stage.hand_over(adapter, case)
        await _require_in_the_end(stage, ledger, case, settled, f"{done} Then again, when it was back.")


async def _told_health(stage: Stage, ledger: Ledger, adapter: Adapter) -> None:
    try:
        async with asyncio.timeout(stage.patience):
            await adapter.health()
    except TimeoutError:
        ledger.broke(
            done="health() was called while the software was away.",
            expected="It answers: its answer is needed just then.",
            happened=f"It did not within {stage.patience:.0f} seconds.",
            mend="Answer from what the adapter has seen last, without a call.",
        )


async def _require_in_the_end(stage: Stage, ledger: Ledger, case: Case, settled: object, done: str) -> None:
    if isinstance(settled, Later | Failed):
        ledger.broke(
            done=done,
            expected="It is handed over.",
            happened=answered(settled),
            mend="Leave nothing of a try that failed; the next one begins anew.",
        )
    elif isinstance(settled, Accepted):
        await stage.require_shown(ledger, case, done)
    else:
        ledger.could_not_see(f"{case.title} in the software: it is not there by the adapter's word")
