"""Every kind of message, once, again, and several at a time."""

from __future__ import annotations

import asyncio
from typing import Final

from adapters.kit.ledger import Ledger
from adapters.kit.messages import Case
from adapters.kit.stage import Answer, Failed, Stage, answered
from adapters.sdk import Accepted, Later, Never, Refused

#: How many messages are handed over at once.
_TOGETHER: Final = 8

_OUTCOMES = "Answer Accepted, Refused(reason), Later(reason) or Never(reason) (adapters.sdk), and Awaiting only with a \
way to fetch."


async def every_kind(stage: Stage, ledger: Ledger) -> None:
    async with stage.opened() as adapter:
        for case in stage.repertoire.every_kind():
            ledger.tried()
            await _judge(stage, ledger, case, await stage.hand_over(adapter, case))


async def duplicates(stage: Stage, ledger: Ledger) -> None:
    cases = [stage.repertoire.ordinary(), stage.repertoire.empty()]
    cases.append(stage.repertoire.for_unit(cases[0]))
    for again in ("twice, one right after the other", "again after a restart"):
        async with stage.opened() as adapter:
            for case in cases:
                ledger.tried()
                done = f"Delivered {case.title} {again}."
                first = await stage.hand_over(adapter, case)
                second = await stage.hand_over(adapter, case)
                if type(first) is not type(second):
                    ledger.broke(
                        done=done,
                        expected="The same answer each time.",
                        happened=f"First: {answered(first)} Then: {answered(second)}",
                        mend="A key that the software has already is Accepted: the node only did not hear it.",
                    )
                await _judge(stage, ledger, case, second, done)


async def together(stage: Stage, ledger: Ledger) -> None:
    async with stage.opened() as adapter:
        cases = [stage.repertoire.ordinary() for _ in range(_TOGETHER)]
        answers = await asyncio.gather(*(stage.attempt(adapter, case) for case in cases))
        for case, answer in zip(cases, answers, strict=True):
            ledger.tried()
            settled = await stage.settled(case, answer)
            if isinstance(settled, Later):
                settled = await stage.hand_over(adapter, case)
            await _judge(stage, ledger, case, settled, f"Delivered {_TOGETHER} documents at once.")


async def _judge(stage: Stage, ledger: Ledger, case: Case, answer: Answer, done: str | None = None) -> None:
    done = done or f"Delivered {case.title}."
    match answer:
        case Accepted():
            await stage.require_shown(ledger, case, done)
        case Never(reason) | Refused(reason) if reason.strip():
            ledger.could_not_see(f"{case.title} in the software: {answered(answer)}")
        case Never() | Refused():
            ledger.broke(
                done=done,
                expected="A refusal with its reason.",
                happened=f"{answered(answer)} The reason is empty.",
                mend="Say in one sentence why: the sender, or a person at the node, reads it.",
            )
        case Later() | Failed():
            ledger.broke(
                done=f"{done} It was tried several times.",
                expected="It is handed over in the end.",
                happened=f"At last {answered(answer)}",
                mend=_OUTCOMES,
            )
        case _ if stage.probe is None:
            ledger.could_not_see("what is fetched: there is no probe that fetches")
        case _:
            ledger.broke(
                done=f"{done} The software was asked to fetch.",
                expected="It fetches the message and confirms it, and the adapter settles it.",
                happened="It still awaits the software.",
                mend="List what NodeApi.waiting gives, and call NodeApi.settle when the software confirms.",
            )
