"""Where a check plays: an adapter, the stand-in node before it, the probe behind it."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from adapters.kit.ledger import Ledger
from adapters.kit.messages import Case, Repertoire
from adapters.kit.node import StandInNode
from adapters.kit.probing import Probe, Shown
from adapters.sdk import Adapter, AdapterFactory, Awaiting, Guarantee, Later, Outcome
from schemas.limits import MIB

#: Bytes of attachments for which an adapter has one second more, as at a node.
_BYTES_A_SECOND: Final = 2 * MIB
#: How often a hand-over that is for later is tried, and how often the software is given a chance to fetch.
_TRIES: Final = 7
_TAKES: Final = 50
_PAUSE: Final = 0.02
#: How long an adapter may take until it says that it is well; one that says so never is used all the same.
_START: Final = 2.0


@dataclass(frozen=True, slots=True)
class Failed:
    """What came instead of an outcome, in words. The node takes it for `Later`."""

    happened: str


Answer: TypeAlias = Outcome | Failed


@dataclass(slots=True)
class Stage:
    """`folder` is the adapter's own; `patience` how many seconds a call may take, beside its attachments.

    `reference` is `module:name` of the factory, by which another process makes the adapter (None: no other can);
    `kills` is how many such processes are killed. `guarantee` is what the adapter declared when it was made last.
    """

    make: AdapterFactory
    reference: str | None
    settings: Mapping[str, object]
    folder: Path
    node: StandInNode
    probe: Probe | None
    repertoire: Repertoire
    patience: float
    kills: int
    guarantee: Guarantee | None = None

    def table(self) -> dict[str, object]:
        """The adapter's table: what was given, and where the probe has the software."""
        return {**self.settings, **(self.probe.settings if self.probe else {})}

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Adapter]:
        """The adapter, made anew and running; stopped and closed as a node does it. What it raises passes."""
        adapter = await self.make_adapter()
        stop = asyncio.Event()
        running = asyncio.create_task(adapter.run(stop), name="adapter.run")
        try:
            await self._started(adapter)
            yield adapter
        finally:
            stop.set()
            with contextlib.suppress(Exception):  # what run() raises is the business of the check `life`
                async with asyncio.timeout(self.patience):
                    await running
            await asyncio.wait_for(adapter.close(), self.patience)

    async def _started(self, adapter: Adapter) -> None:
        """Give an adapter that listens, or connects, the moment that it needs to say that it is well."""
        with contextlib.suppress(Exception):  # what health() raises is the business of the check `life`
            async with asyncio.timeout(_START):
                while not (await adapter.health()).ok:  # noqa: ASYNC110 - an adapter tells nobody
                    await asyncio.sleep(_PAUSE)

    async def make_adapter(self) -> Adapter:
        self.folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.timeout(self.patience):
            adapter = await self.make(self.node.context(self.folder, self.table()))
        declared = getattr(adapter, "guarantee", None)
        self.guarantee = declared if isinstance(declared, Guarantee) else None
        return adapter

    async def attempt(self, adapter: Adapter, case: Case) -> Answer:
        """Hand `case` over once, as a node does it."""
        self.node.know([case])
        size = sum(one.size for one in case.delivery.attachments)
        try:
            async with asyncio.timeout(self.patience + size / _BYTES_A_SECOND):
                answer: object = await adapter.deliver(case.delivery)
        except TimeoutError:
            return Failed(f"deliver did not answer within {self.patience:.0f} seconds.")
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is what happened
            return Failed(f"deliver raised {told(error)}.")
        if not isinstance(answer, Outcome):
            return Failed(f"deliver answered {answer!r}, which is no outcome.")
        return answer

    async def hand_over(self, adapter: Adapter, case: Case) -> Answer:
        """Hand `case` over until it is settled, or the kit's patience ends: what the node would have in the end."""
        answer: Answer = Failed("Nothing was tried.")
        for failures in range(_TRIES):
            answer = await self.attempt(adapter, case)
            if not isinstance(answer, Later | Failed):
                break
            await asyncio.sleep(_PAUSE * 2**failures)
        return await self.settled(case, answer)

    async def settled(self, case: Case, answer: Answer) -> Answer:
        """What becomes of `answer`: for software that fetches, what it settles."""
        if isinstance(answer, Awaiting):
            self.node.record.offer(case.key)
            for _ in range(_TAKES if self.probe else 0):
                await self.take()
                ended = self.node.record.handover(case.key)
                if ended is not None and ended.state != "awaiting":
                    return self.node.record.settlement(case.key) or answer
                await asyncio.sleep(_PAUSE)
        return answer

    async def take(self) -> None:
        """Let the software do what it does; that it fails is for the next time."""
        if self.probe is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self.patience):
                    await self.probe.take()

    async def shown(self, case: Case) -> list[Shown] | None:
        """The appearances of `case` in the software; None without a probe."""
        if self.probe is None:
            return None
        await self.take()
        return [one for one in await self.probe.shown() if one.key == case.key]

    async def require_shown(self, ledger: Ledger, case: Case, done: str) -> None:
        """Note a finding unless the software has `case`: once, or at least once with its key, and whole."""
        found = await self.shown(case)
        if found is None:
            ledger.could_not_see("what the software has got: there is no probe")
            return
        if not found:
            ledger.broke(
                done=done,
                expected=f"The software has {case.title} under the key {case.key}.",
                happened=f"It has it not: {await self._others()}.",
                mend="Answer Accepted only once the software has the message durably, and keep the key with it.",
            )
            return
        if len(found) > 1 and self.guarantee is not Guarantee.AT_LEAST_ONCE:
            ledger.broke(
                done=done,
                expected=f"The software has {case.title} once: the adapter declares exactly-once.",
                happened=f"It appeared {len(found)} times under the key {case.key}.",
                mend="Commit the key together with the document, or declare Guarantee.AT_LEAST_ONCE.",
            )
        self._require_whole(ledger, case, found[0], done)

    def _require_whole(self, ledger: Ledger, case: Case, shown: Shown, done: str) -> None:
        if shown.files is None:
            ledger.could_not_see("the attachments in the software: the probe shows none")
            return
        sent = [one.content.digest for one in case.attached]
        got = [file.digest for file in shown.files]
        if sorted(sent) != sorted(got):
            lost = [one.name for one in case.attached if one.content.digest not in got]
            ledger.broke(
                done=done,
                expected=f"All {len(sent)} attachments are in the software, byte for byte.",
                happened=f"It has {len(got)}; without their bytes are: {', '.join(map(ascii, lost)) or 'none'}.",
                mend="Write every attachment whole, under a name that differs from the others' without regard to case.",
            )

    async def _others(self) -> str:
        shown = await self.probe.shown() if self.probe else ()
        nameless = sum(one.key is None for one in shown)
        return f"{len(shown)} other messages are there" + (f", {nameless} of them without a key" if nameless else "")


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until `condition` holds, or for so many seconds."""
    ends = asyncio.get_running_loop().time() + seconds
    while not condition() and asyncio.get_running_loop().time() < ends:  # noqa: ASYNC110 - what foreign code does
        await asyncio.sleep(_PAUSE)


def told(error: BaseException) -> str:
    """An exception in words, with the line of the adapter that raised it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "adapters/kit/" not in frame.filename]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def answered(answer: Answer) -> str:
    """An answer in words."""
    return answer.happened if isinstance(answer, Failed) else f"deliver answered {answer!r}."
