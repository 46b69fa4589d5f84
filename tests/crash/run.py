"""One run: load and faults side by side, until all has come out, then the audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.crash.agency import Agency, Opening
from tests.crash.audits import audited
from tests.crash.connections import Kind
from tests.crash.events import Failed, Sent, Told
from tests.crash.ledger import contradictions
from tests.crash.load import CODES, Letter, letters
from tests.crash.records import Records
from tests.crash.register import DOCUMENT, Arrival, Item, Register
from tests.crash.schedule import Column, Fault, FaultKind, schedule
from tests.crash.site import NODES, CrashSite
from tests.crash.supervisor import End

#: Seconds until an agency's software looks for more, after it found something and after it did not; and between two
#: looks at what is still under way.
_LOOK: Final = 0.1
_IDLE: Final = 0.4
_AUDIT: Final = 1.0
#: Seconds until a drop that failed on a full disk is tried again.
_AGAIN: Final = 0.3
#: A fault that nobody felt (the program was down, no connection stood) strikes again after so many seconds, for so
#: many.
_STRIKE_AGAIN: Final = 1.0
_STRIKE_FOR: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`in_flight` documents at most are on their way at a time; without progress for `patience` seconds a run ends."""

    documents: int
    faults: int
    seed: int
    in_flight: int = 60
    patience: float = 300.0
    column: Column = Column.EMBEDDED
    kinds: Sequence[Kind] = tuple(Kind)
    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a run. `lost` and `missing` say what; `faults` are sentences about whatever else must not be.

    `findings` are those of `congvan audit`; `overtaken` are sentences about what may be and is told. `struck` are the
    faults that had an effect, `ends` the programs that ended by themselves, `stuck` whether it ended for want of
    progress.
    """

    documents: int
    items: int
    struck: tuple[Fault, ...]
    lost: tuple[Item, ...]
    twice: tuple[Item, ...]
    missing: tuple[str, ...]
    faults: tuple[str, ...]
    findings: tuple[str, ...]
    overtaken: tuple[str, ...]
    ends: tuple[End, ...]
    stuck: tuple[str, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        return not (self.lost or self.twice or self.missing or self.faults or self.findings or self.stuck)


@dataclass(slots=True)
class Run:
    """A run in `folder`; `progress` is told how many documents were dropped and how many items came out."""

    options: Options
    folder: Path
    progress: Callable[[int, int], None]
    register: Register = field(init=False, default_factory=Register)
    _agencies: dict[str, Agency] = field(init=False, default_factory=dict)
    _struck: list[Fault] = field(init=False, default_factory=list)
    _dropped: int = field(init=False, default=0)
    _moved: asyncio.Condition = field(init=False, default_factory=asyncio.Condition)

    async def run(self, site: CrashSite) -> Verdict:
        """Load, faults, and the wait until all is dry; `site` is running."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            opening = Opening(
                folder=self.folder, letter_of=self.register.letters.get, seed=self.options.seed, resources=stack
            )
            for code in CODES:
                self._agencies[code] = await opening.agency(code, site.accesses[code], site.filedrop(code))
            looking = [asyncio.create_task(self._work(agency)) for agency in self._agencies.values()]
            stack.push_async_callback(_cancel, looking)
            # What fails in an agency's software is a fault of the suite: it ends the run at once.
            way = asyncio.create_task(self._way(site))
            stack.push_async_callback(_cancel, [way])
            await asyncio.wait([*looking, way], return_when=asyncio.FIRST_COMPLETED)
            for task in looking:
                if task.done():
                    task.result()
            stuck, missing = way.result()
            await _cancel(looking)
            await site.stop()
            findings = await self._close(site)
            self.register.faults += unfelt(self._schedule(), self._struck)
            self.register.faults += [
                f"{end.program} ended by itself, with status {end.status}, though it had all that it needs."
                for end in site.supervisor.ends
                if not end.explained
            ]
        register = self.register
        return Verdict(
            documents=self._dropped,
            items=len(register.expected),
            struck=tuple(self._struck),
            lost=tuple(sorted(register.lost | register.awaited, key=str)),
            twice=tuple(register.twice),
            missing=tuple(missing),
            faults=tuple(register.faults),
            findings=tuple(findings),
            overtaken=tuple(register.overtaken),
            ends=tuple(site.supervisor.ends),
            stuck=tuple(stuck),
            seconds=time.monotonic() - began,
        )

    async def _way(self, site: CrashSite) -> tuple[list[str], list[str]]:
        """What is stuck, and the receipts that are missing, when all is over."""
        watch = asyncio.create_task(self._watch())
        work = asyncio.create_task(self._load_and_strike(site))
        try:
            await asyncio.wait([watch, work], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            await _cancel([watch, work])
        await site.heal()
        async with Records(site) as records:
            under_way, missing = await self._run_dry(records)
        if self._dropped < self.options.documents:
            under_way.insert(0, f"Nothing came out for {self.options.patience:.0f} s after {self._dropped} documents.")
        return under_way, missing

    async def _load_and_strike(self, site: CrashSite) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._load())
            for fault in self._schedule():
                group.create_task(self._strike(site, fault))

    def _schedule(self) -> list[Fault]:
        asked = self.options
        return schedule(asked.faults, asked.documents, NODES, asked.seed, asked.column, isolated=asked.isolated)

    async def _strike(self, site: CrashSite, fault: Fault) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._dropped >= fault.at)
        await asyncio.sleep(fault.delay)
        # What finds nothing to cut, or no room to fill, is made up for by what always finds a program.
        for one in (fault, replace(fault, kind=FaultKind.KILL)):
            ends = time.monotonic() + _STRIKE_FOR
            while time.monotonic() < ends:
                await site.await_target(one)
                if await site.strike(one):
                    self._struck.append(one)
                    return
                # Where little goes through a connection any more, it is cut sooner.
                if one.kind is FaultKind.CUT:
                    one = replace(one, amount=max(1, one.amount // 4))  # noqa: PLW2901
                await asyncio.sleep(_STRIKE_AGAIN)

    async def _load(self) -> None:
        for letter in letters(self.options.documents, self.options.seed):
            async with self._moved:
                await self._moved.wait_for(lambda: self.register.on_the_way < self.options.in_flight)
            await self._drop(letter)
            self._dropped += 1
            await self._tell()

    async def _drop(self, letter: Letter) -> None:
        while True:
            try:
                digests = await self._agencies[letter.sender].sends.drop(letter)
            except OSError:
                await asyncio.sleep(_AGAIN)
                continue
            self.register.dropped(letter, digests)
            return

    async def _work(self, agency: Agency) -> None:
        while True:
            found = await self._look(agency)
            await self._tell()
            await asyncio.sleep(_LOOK if found else _IDLE)

    async def _look(self, agency: Agency) -> bool:
        """Enter what the agency's software has to say; whether it had anything."""
        events = await agency.look()
        for event in events:
            match event:
                case Sent(name, message_id):
                    self.register.sent[name] = message_id
                case Failed(name, document_id, reason):
                    self.register.refused(name, document_id, reason)
                case Told(sentence):
                    self.register.faults.append(sentence)
        for arrival in self.register.in_order(event for event in events if isinstance(event, Arrival)):
            letter = self.register.letters.get(arrival.item.document_id)
            is_new = self.register.arrived(arrival) and arrival.item.what == DOCUMENT
            if is_new and letter is not None and not arrival.is_refused:
                agency.sends.answer(letter, arrival.message_id)
        return bool(events)

    async def _close(self, site: CrashSite) -> list[str]:
        """A last look at the folders, the programs stopped; then what is on record. Gives the audits' findings."""
        for agency in self._agencies.values():
            await self._look(agency)
            self.register.faults += [f"{item} is left over." for item in agency.left()]
        journals = {code: agency.journals for code, agency in self._agencies.items()}
        self.register.faults += contradictions(journals, self.register.came)
        async with Records(site) as records:
            self.register.faults += await records.receipts_twice(self._returned)
            self.register.faults += await records.other_bytes(self.register.sealed)
        return await audited(site.folders)

    @property
    def _returned(self) -> set[tuple[str, str]]:
        """The deliveries that ended in a refusal: by software, or by the guards of a recipient's node."""
        marked = (letter for letter in self.register.letters.values() if letter.is_marked)
        sent = ((self.register.sent.get(letter.name), letter) for letter in marked)
        by_guards = {(message_id, code) for message_id, letter in sent if message_id for code in letter.recipients}
        return self.register.returned | by_guards

    async def _tell(self) -> None:
        self.progress(self._dropped, self.register.steps)
        async with self._moved:
            self._moved.notify_all()

    async def _watch(self) -> None:
        """Returns when nothing has come out for the time of patience."""
        steps, since = -1, time.monotonic()
        while time.monotonic() - since < self.options.patience:
            if steps != self.register.steps:
                steps, since = self.register.steps, time.monotonic()
            await asyncio.sleep(1)

    async def _run_dry(self, records: Records) -> tuple[list[str], list[str]]:
        before: object = None
        since = time.monotonic()
        while True:
            under_way, missing = await records.unrest(), await records.missing_receipts(self._returned)
            if not (under_way or missing or self.register.awaited):
                return [], []
            now = (self.register.steps, under_way, len(missing))
            if now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > self.options.patience:
                return under_way, missing
            await asyncio.sleep(_AUDIT)


def unfelt(asked: Sequence[Fault], struck: Sequence[Fault]) -> Iterator[str]:
    """What is short of the faults that were asked for, a sentence each; `struck` are those that were felt."""
    if len(struck) < len(asked):
        yield f"Only {len(struck)} of {len(asked)} faults had an effect."
    for kind in sorted({fault.kind for fault in asked} - {fault.kind for fault in struck}):
        yield f"Not one of the faults '{kind}' had an effect."


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
