"""The node as one adapter sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from adapters.sdk import (
    DeclaredUnit,
    Delivery,
    DeliveryKey,
    Lock,
    MessageKind,
    NodeEvent,
    RecallOrder,
    SentDocument,
    Settlement,
    StatusReport,
    Submission,
    Submitted,
    UnitStanding,
    UpdateOrder,
    Waiting,
)
from node.usecases.amendments import Amendments, Change
from node.usecases.attachments import Attachments
from node.usecases.awaiting import AwaitingDeliveries
from node.usecases.directory import DirectoryCopy
from node.usecases.event_log import EventLog
from node.usecases.sent_documents import SentDocuments
from node.usecases.statuses import Responder
from node.usecases.submit import Submitter
from node.usecases.units import Units
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Sha256Hex

#: Submissions of one adapter that are worked on at once. The next ones wait: a flood is its own adapter's trouble.
SUBMISSIONS: Final = 64


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a node does for its adapters, whichever asks."""

    submitter: Submitter
    directory: DirectoryCopy
    attachments: Attachments
    responder: Responder
    amendments: Amendments
    sent: SentDocuments
    units: Units
    awaiting: AwaitingDeliveries
    events: EventLog


class NodeFacade:
    """`adapters.sdk.NodeApi`, bound to the adapter `name`, which offers what `desk` does as well, if that is given."""

    def __init__(self, name: str, parts: NodeParts, *, desk: str | None = None) -> None:
        self._name = name
        self._offered_by = (name,) if desk is None else (name, desk)
        self._parts = parts
        self._room = asyncio.Semaphore(SUBMISSIONS)

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        return self._parts.directory.served_codes

    async def submit(self, submission: Submission) -> Submitted:
        async with self._room:
            return await self._parts.submitter.submit(self._name, submission)

    async def report(self, report: StatusReport) -> Submitted:
        async with self._room:
            return await self._parts.responder.report(self._name, report)

    async def recall(self, order: RecallOrder) -> Submitted:
        change = Change(reason=order.reason, key=order.key)
        async with self._room:
            return await self._parts.amendments.of(self._name).recall(order.message_id, change, to=order.recipients)

    async def update(self, order: UpdateOrder) -> Submitted:
        change = Change(
            reason=order.reason,
            metadata=order.metadata,
            attachments=order.attachments,
            key=order.key,
            fingerprint=order.fingerprint,
            override=order.override,
        )
        async with self._room:
            amendments = self._parts.amendments.of(self._name)
            return await amendments.update(order.message_id, change, add=order.add, remove=order.remove)

    async def sent(
        self,
        *,
        senders: Collection[AgencyCode] = (),
        document_id: str | None = None,
        message_id: Sha256Hex | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[SentDocument]:
        return await self._parts.sent.page(
            senders=senders, document_id=document_id, message_id=message_id, after=after, limit=limit
        )

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        return await self._parts.directory.agency(code)

    async def agencies(
        self, query: str = "", *, under: AgencyCode | None = None, after: str = "", limit: int = 100
    ) -> Sequence[AgencyEntry]:
        return await self._parts.directory.agencies(query, under=under, after=after, limit=limit)

    async def declare(self, unit: DeclaredUnit) -> UnitStanding:
        return await self._parts.units.declare(unit)

    async def retire(self, code: AgencyCode) -> UnitStanding:
        return await self._parts.units.retire(code)

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
        return await self._parts.awaiting.page(
            self._offered_by,
            recipients=recipients,
            kind=kind,
            parked=parked,
            unlocked=unlocked,
            after=after,
            limit=limit,
        )

    async def count_waiting(self, *, recipients: Collection[AgencyCode] = (), kind: MessageKind | None = None) -> int:
        return await self._parts.awaiting.count(self._offered_by, recipients=recipients, kind=kind)

    async def lock(self, keys: Sequence[DeliveryKey], *, seconds: float, renew: str | None = None) -> Lock:
        return await self._parts.awaiting.lock(self._offered_by, keys, seconds=seconds, renew=renew)

    async def unlock(self, keys: Sequence[DeliveryKey], *, lock: str) -> None:
        await self._parts.awaiting.unlock(keys, lock=lock)

    async def delivery(self, key: DeliveryKey) -> Delivery | None:
        return await self._parts.awaiting.delivery(self._offered_by, key)

    async def settle(self, key: DeliveryKey, outcome: Settlement, *, lock: str | None = None) -> None:
        await self._parts.awaiting.settle(self._offered_by, key, outcome, lock=lock)

    async def events(self, *, after: int = 0, limit: int = 100, wait_seconds: float = 0.0) -> Sequence[NodeEvent]:
        return await self._parts.events.after(after, limit=limit, wait_seconds=wait_seconds)

    async def last_event(self) -> int:
        return await self._parts.events.last()

    def open_attachment(
        self, digest: Sha256Hex, *, start: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._parts.attachments.open(digest, start=start)
