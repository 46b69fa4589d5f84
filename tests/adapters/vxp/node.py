"""The simulator of a node, with what awaits software beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from adapters.sdk import (
    DeclaredUnit,
    Delivery,
    DeliveryKey,
    DeliveryState,
    MessageKind,
    Never,
    SentDocument,
    SentRecipient,
    Settlement,
    Standing,
    Submission,
    Submitted,
    UnitStanding,
    Waiting,
)
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.message import Document, Message, Priority, StatusCode
from tests.adapters.simulator import NOW, NodeSimulator, code


@dataclass
class OfferingNode(NodeSimulator):
    """`adapters.sdk.NodeApi` for software that fetches; it serves G22 and a unit below it."""

    serves: Sequence[str] = ("G22", "G22.01")
    offered: dict[DeliveryKey, Delivery] = field(default_factory=dict)
    settled: dict[DeliveryKey, Settlement] = field(default_factory=dict)
    units: dict[AgencyCode, DeclaredUnit] = field(default_factory=dict)
    retired: list[AgencyCode] = field(default_factory=list)
    entries: list[AgencyEntry] = field(default_factory=list)
    standing: UnitStanding = UnitStanding.DONE
    refused: str | None = None
    calls: list[str] = field(default_factory=list)

    def arrives(
        self, message: Message, recipient: str = "G22", *, attachments: Sequence[tuple[str, bytes]] = ()
    ) -> DeliveryKey:
        """Offer `message` with `attachments` (name, bytes) to the software of `recipient`."""
        delivery = NodeSimulator.delivery(self, message, recipient, attachments=attachments)
        self.offered[delivery.key] = delivery
        return delivery.key

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
        self.calls.append("waiting")
        shown = [
            _waiting(delivery)
            for key, delivery in sorted(self.offered.items(), key=lambda item: str(item[0]))
            if key not in self.settled and (not recipients or key.recipient in recipients) and str(key) > after
        ]
        return [one for one in shown if kind in (None, one.kind)][:limit]

    async def count_waiting(self, *, recipients: Collection[AgencyCode] = (), kind: MessageKind | None = None) -> int:
        return len(await self.waiting(recipients=recipients, kind=kind, limit=10**6))

    async def delivery(  # type: ignore[override] # the simulator makes deliveries under this name, the SDK gives them
        self, key: DeliveryKey
    ) -> Delivery | None:
        return self.offered.get(key)

    async def settle(self, key: DeliveryKey, outcome: Settlement, *, lock: str | None = None) -> None:
        if key not in self.offered:
            raise Rejected("delivery-unknown", f"No message {key} was offered.")
        before = self.settled.get(key)
        if before is not None and type(before) is not type(outcome) and not isinstance(before, Never):
            raise Rejected("delivery-settled", f"The message {key} is settled already.")
        self.settled[key] = outcome

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
            _sent(taken, submission, self.refused)
            for taken, submission in sorted(self.taken.items())
            if submission.message.sender.organ_id in senders and message_id in (None, taken) and taken > after
        ]
        return found[:limit]

    async def agencies(
        self, query: str = "", *, under: AgencyCode | None = None, after: str = "", limit: int = 100
    ) -> Sequence[AgencyEntry]:
        return [entry for entry in self.entries if entry.code.value > after][:limit]

    async def declare(self, unit: DeclaredUnit) -> UnitStanding:
        self.units[unit.code] = unit
        return self.standing

    async def retire(self, code: AgencyCode) -> UnitStanding:
        self.retired.append(code)
        return self.standing

    async def submit(self, submission: Submission) -> Submitted:
        self.calls.append("submit")
        return await super().submit(submission)


def entry(text: str, name: str, *older: str, status: EntryStatus = EntryStatus.ACTIVE) -> AgencyEntry:
    return AgencyEntry(code=code(text), name=name, older_codes=tuple(map(code, older)), connection=text, status=status)


def _waiting(delivery: Delivery) -> Waiting:
    message = delivery.message
    document = message if isinstance(message, Document) else None
    return Waiting(
        key=delivery.key,
        kind=MessageKind.DOCUMENT if document else MessageKind.STATUS,
        sender=message.sender.organ_id,
        sender_name=message.sender.organ_name,
        document_id=document.document_id if document else None,
        code=document.code if document else None,
        subject=document.subject if document else None,
        business=document.business_type if document else None,
        status=None if isinstance(message, Document) else message.status_code,
        priority=document.priority if document else Priority.NORMAL,
        about=delivery.about,
        received_at=delivery.received_at,
        since=NOW,
        locked_until=None,
        parked=None,
        cursor=str(delivery.key),
    )


def _sent(message_id: Sha256Hex, submission: Submission, refused: str | None) -> SentDocument:
    document = submission.message
    assert isinstance(document, Document)
    recipients = tuple(
        SentRecipient(
            code=organ.organ_id,
            name=organ.organ_name,
            standing=Standing.ACCEPTED,
            delivery=DeliveryState.HANDED_OVER,
            since=NOW,
            trouble=None,
            status=StatusCode.ACCEPTED,
            status_text="Đã tiếp nhận",
            status_at=NOW,
        )
        for organ in document.recipients
    )
    return SentDocument(
        message_id=message_id,
        adapter="vxp",
        key=submission.key,
        sender=document.sender.organ_id,
        document_id=document.document_id,
        code=document.code,
        subject=document.subject,
        business=document.business_type,
        created_at=NOW,
        accepted_at=NOW,
        refused=refused,
        recipients=recipients,
        stands={Standing.ACCEPTED: len(recipients)},
        cursor=message_id,
    )
