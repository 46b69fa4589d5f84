"""The node as an adapter in a process of its own sees it: every call goes over the channel."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from adapters.process.channel import Channel
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
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Sha256Hex


class RemoteNode:
    """`adapters.sdk.NodeApi`; the node tells the codes that it serves when they change."""

    def __init__(self, channel: Channel, served: Sequence[AgencyCode]) -> None:
        self._channel = channel
        self.served: Sequence[AgencyCode] = served

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        return self.served

    async def _ask(self, name: str, *parts: object, **named: object) -> Any:
        return await self._channel.call("node", name, parts, named)

    async def submit(self, submission: Submission) -> Submitted:
        found: Submitted = await self._ask("submit", submission)
        return found

    async def report(self, report: StatusReport) -> Submitted:
        found: Submitted = await self._ask("report", report)
        return found

    async def recall(self, order: RecallOrder) -> Submitted:
        found: Submitted = await self._ask("recall", order)
        return found

    async def update(self, order: UpdateOrder) -> Submitted:
        found: Submitted = await self._ask("update", order)
        return found

    async def sent(
        self,
        *,
        senders: Collection[AgencyCode] = (),
        document_id: str | None = None,
        message_id: Sha256Hex | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[SentDocument]:
        asked = {"document_id": document_id, "message_id": message_id, "after": after, "limit": limit}
        found: Sequence[SentDocument] = await self._ask("sent", senders=tuple(senders), **asked)
        return found

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        found: AgencyEntry | None = await self._ask("agency", code)
        return found

    async def agencies(
        self, query: str = "", *, under: AgencyCode | None = None, after: str = "", limit: int = 100
    ) -> Sequence[AgencyEntry]:
        found: Sequence[AgencyEntry] = await self._ask("agencies", query, under=under, after=after, limit=limit)
        return found

    async def declare(self, unit: DeclaredUnit) -> UnitStanding:
        found: UnitStanding = await self._ask("declare", unit)
        return found

    async def retire(self, code: AgencyCode) -> UnitStanding:
        found: UnitStanding = await self._ask("retire", code)
        return found

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
        asked = {"kind": kind, "parked": parked, "unlocked": unlocked, "after": after, "limit": limit}
        found: Sequence[Waiting] = await self._ask("waiting", recipients=tuple(recipients), **asked)
        return found

    async def count_waiting(self, *, recipients: Collection[AgencyCode] = (), kind: MessageKind | None = None) -> int:
        found: int = await self._ask("count_waiting", recipients=tuple(recipients), kind=kind)
        return found

    async def lock(self, keys: Sequence[DeliveryKey], *, seconds: float, renew: str | None = None) -> Lock:
        found: Lock = await self._ask("lock", tuple(keys), seconds=seconds, renew=renew)
        return found

    async def unlock(self, keys: Sequence[DeliveryKey], *, lock: str) -> None:
        await self._ask("unlock", tuple(keys), lock=lock)

    async def delivery(self, key: DeliveryKey) -> Delivery | None:
        found: Delivery | None = await self._ask("delivery", key)
        return found

    async def settle(self, key: DeliveryKey, outcome: Settlement, *, lock: str | None = None) -> None:
        await self._ask("settle", key, outcome, lock=lock)

    async def events(self, *, after: int = 0, limit: int = 100, wait_seconds: float = 0.0) -> Sequence[NodeEvent]:
        found: Sequence[NodeEvent] = await self._ask("events", after=after, limit=limit, wait_seconds=wait_seconds)
        return found

    async def last_event(self) -> int:
        found: int = await self._ask("last_event")
        return found

    @contextlib.asynccontextmanager
    async def open_attachment(self, digest: Sha256Hex, *, start: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        number: int = await self._channel.call("attachment-open", digest, start)

        async def chunks() -> AsyncIterator[bytes]:
            while chunk := await self._channel.call("attachment-read", number):
                yield chunk

        try:
            yield chunks()
        finally:
            await self._channel.call("attachment-close", number)
