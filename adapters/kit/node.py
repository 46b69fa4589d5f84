"""The node that the kit puts before an adapter: it keeps what a node keeps, and fails when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.kit.contents import Content
from adapters.kit.following import events_after
from adapters.kit.messages import NAMES, NOW, OWN, OWN_UNIT, PEER, Case
from adapters.kit.offering import Offering
from adapters.kit.record import Record
from adapters.sdk import (
    AdapterContext,
    DeclaredUnit,
    Delivery,
    DeliveryKey,
    DeliveryState,
    Lock,
    MessageKind,
    NodeEvent,
    RecallOrder,
    SentDocument,
    SentRecipient,
    Settlement,
    Standing,
    StatusReport,
    Submission,
    Submitted,
    UnitStanding,
    UpdateOrder,
    Waiting,
)
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, prefix_covers
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected, Unavailable
from schemas.message import Document

_OLDER: Final = {AgencyCode("000.00.00.H23"): OWN, AgencyCode("000.00.00.G22"): PEER}


@dataclass(slots=True)
class Faults:
    """What goes wrong at the node.

    `refuse_attachments`: none can be opened. `break_after`: the stream fails after so many bytes. `hold`: streams that
    are opened give nothing until it is set. `refuse_submissions`: how many submissions are answered `Unavailable` from
    now on.
    """

    refuse_attachments: bool = False
    break_after: int | None = None
    hold: asyncio.Event | None = None
    refuse_submissions: int = 0


class StandInNode:
    """`adapters.sdk.NodeApi` over a file in `folder`; it serves `OWN` and a unit below, and knows `PEER`.

    `attempts` are the submissions as they were tried, `reports` the statuses reported, `orders` the recalls and
    updates, `units` those declared, by
    code; `opened` counts the attachments opened.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.record = Record(folder / "record.sqlite3")
        self.faults = Faults()
        self.attempts: list[Submission] = []
        self.reports: list[StatusReport] = []
        self.orders: list[RecallOrder | UpdateOrder] = []
        self.units: dict[AgencyCode, str] = {}
        self.opened = 0
        self._cases: dict[str, Case] = {}
        self._contents: dict[Sha256Hex, Content] = {}
        self._offering = Offering(self.record, self._cases)
        self._sent: list[SentDocument] = []

    def close(self) -> None:
        self.record.close()

    def know(self, cases: Iterable[Case]) -> None:
        """Have the messages of `cases`, and their attachments."""
        for case in cases:
            self._cases[case.key] = case
            self._contents.update(case.contents)

    def context(self, folder: Path, settings: dict[str, object], *, name: str = "kit") -> AdapterContext:
        """What an adapter is made from, its folder being `folder`; the clock stands still."""
        return AdapterContext(name=name, settings=settings, node=self, folder=folder, clock=lambda: NOW)

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        return (OWN, OWN_UNIT)

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        today = _OLDER.get(code, code)
        if today not in NAMES:
            return None
        older = tuple(old for old, new in _OLDER.items() if new == today)
        return AgencyEntry(code=today, name=NAMES[today], older_codes=older, connection=today.value)

    async def submit(self, submission: Submission) -> Submitted:
        self.attempts.append(submission)
        await asyncio.sleep(0)
        if self.faults.refuse_submissions > 0:
            self.faults.refuse_submissions -= 1
            raise Unavailable("storage-full", "The stand-in node takes nothing now.", mend="Try again.")
        sender = submission.message.sender.organ_id
        if sender not in self.served_codes:
            raise Rejected("sender-not-served", f"This node does not serve {sender}.", element="MessageHeader/From")
        if isinstance(submission.message, Document):
            for organ in submission.message.recipients:
                if await self.agency(organ.organ_id) is None:
                    raise Rejected("recipient-unknown", f"No agency has the code {organ.organ_id}.")
        content = [one.path.read_bytes() for one in submission.attachments]
        message_id = hashlib.sha256(repr((submission.key, submission.message, content)).encode()).hexdigest()
        submitted = self.record.submit(submission, message_id)
        if isinstance(submission.message, Document) and not submitted.repeated:
            self._sent.insert(0, _sent(submission, submission.message, submitted))
        return submitted

    async def report(self, report: StatusReport) -> Submitted:
        self.reports.append(report)
        if str(report.delivery) not in self._cases:
            raise Rejected("delivery-unknown", f"No document {report.delivery} came here.", mend="Take a key that did.")
        message_id = hashlib.sha256(repr(report).encode()).hexdigest()
        return Submitted(message_id, repeated=report in self.reports[:-1])

    async def recall(self, order: RecallOrder) -> Submitted:
        return self._ordered(order)

    async def update(self, order: UpdateOrder) -> Submitted:
        return self._ordered(order)

    def _ordered(self, order: RecallOrder | UpdateOrder) -> Submitted:
        if all(one.message_id != order.message_id for one in self._sent):
            raise Rejected("not-sent-here", f"The message {order.message_id} was not sent from here.")
        self.orders.append(order)
        message_id = hashlib.sha256(repr(order).encode()).hexdigest()
        return Submitted(message_id, repeated=order in self.orders[:-1])

    async def sent(
        self,
        *,
        senders: Collection[AgencyCode] = (),
        document_id: str | None = None,
        message_id: Sha256Hex | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[SentDocument]:
        found = [
            one
            for one in self._sent
            if (not senders or one.sender in senders)
            and document_id in (None, one.document_id)
            and message_id in (None, one.message_id)
        ]
        place = next((place for place, one in enumerate(found) if one.cursor == after), -1)
        return found[place + 1 :][:limit]

    async def agencies(
        self, query: str = "", *, under: AgencyCode | None = None, after: str = "", limit: int = 100
    ) -> Sequence[AgencyEntry]:
        entries = [await self.agency(code) for code in sorted(NAMES, key=str)]
        return [
            entry
            for entry in entries
            if entry is not None and (under is None or prefix_covers(under.value, entry.code))
            if entry.code.value.startswith(query) or query.casefold() in entry.name.casefold()
            if entry.code.value > after
        ][:limit]

    async def declare(self, unit: DeclaredUnit) -> UnitStanding:
        if not prefix_covers(OWN.value, unit.code) or unit.code == OWN:
            raise Rejected("unit-not-below", f"{unit.code} is not below {OWN}.", mend=f"Take a code below {OWN}.")
        self.units[unit.code] = unit.name
        return UnitStanding.DONE

    async def retire(self, code: AgencyCode) -> UnitStanding:
        if self.units.pop(code, None) is None:
            raise Rejected("unit-unknown", f"There is no unit {code}.", mend="Take a code that was declared.")
        return UnitStanding.DONE

    async def waiting(
        self,
        *,
        recipients: Collection[AgencyCode] = (),
        kind: MessageKind | None = None,
        parked: bool = False,
        unlocked: bool = False,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[Waiting]:
        return self._offering.listed(recipients, kind, parked=parked, unlocked=unlocked, after=after, limit=limit)

    async def count_waiting(self, *, recipients: Collection[AgencyCode] = (), kind: MessageKind | None = None) -> int:
        return len(await self.waiting(recipients=recipients, kind=kind, limit=len(self._cases)))

    async def lock(self, keys: Sequence[DeliveryKey], *, seconds: float, renew: str | None = None) -> Lock:
        return self._offering.lock(keys, seconds=seconds, renew=renew)

    async def unlock(self, keys: Sequence[DeliveryKey], *, lock: str) -> None:
        self._offering.unlock(keys, lock=lock)

    async def delivery(self, key: DeliveryKey) -> Delivery | None:
        return self._offering.delivery(key)

    async def settle(self, key: DeliveryKey, outcome: Settlement, *, lock: str | None = None) -> None:
        self._offering.settle(key, outcome, lock=lock)

    async def events(self, *, after: int = 0, limit: int = 100, wait_seconds: float = 0.0) -> Sequence[NodeEvent]:
        return await events_after(self.record, self._cases, after, limit=limit, wait_seconds=wait_seconds)

    async def last_event(self) -> int:
        return self.record.last_event()

    @contextlib.asynccontextmanager
    async def open_attachment(self, digest: Sha256Hex, *, start: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        self.opened += 1
        content = self._contents.get(digest)
        faults = self.faults
        if content is None or faults.refuse_attachments:
            raise Unavailable("blob-missing", f"The attachment {digest} is not on the disk.", mend="Try again.")

        async def chunks() -> AsyncIterator[bytes]:
            given = 0
            for chunk in content.chunks(start):
                if faults.hold is not None:
                    await faults.hold.wait()
                if faults.break_after is not None and given + len(chunk) > faults.break_after:
                    yield chunk[: max(0, faults.break_after - given)]
                    raise Unavailable("storage-failed", "The stand-in node's disk fails in mid-stream.")
                yield chunk
                given += len(chunk)
                await asyncio.sleep(0)

        yield chunks()


def _sent(submission: Submission, document: Document, submitted: Submitted) -> SentDocument:
    """A document of ours as `sent` tells it: it is still on its way to the hub."""
    return SentDocument(
        message_id=submitted.message_id,
        adapter="kit",
        key=submission.key,
        sender=document.sender.organ_id,
        document_id=document.document_id,
        code=document.code,
        subject=document.subject,
        business=document.business_type,
        created_at=NOW,
        accepted_at=None,
        refused=None,
        recipients=tuple(
            SentRecipient(
                code=organ.organ_id,
                name=organ.organ_name,
                standing=Standing.WAITING,
                delivery=DeliveryState.WAITING,
                since=NOW,
                trouble=None,
                status=None,
                status_text=None,
                status_at=None,
            )
            for organ in document.recipients
        ),
        stands={Standing.WAITING: len(document.recipients)},
        cursor=submitted.message_id,
    )
