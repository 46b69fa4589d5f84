"""The adapter SDK: what a node gives to an adapter, and what it asks of one.

An adapter takes messages from the node to the agency's software (`Adapter.deliver`) and, if it is a source as
well, from the software to the node (`Adapter.run`, which calls `NodeApi.submit`). A first adapter:

    class Printer:
        guarantee = Guarantee.AT_LEAST_ONCE

        async def deliver(self, delivery: Delivery) -> Outcome:
            print(delivery.message.sender.organ_id, delivery.key)
            return Accepted()

        async def run(self, stop: asyncio.Event) -> None:
            await stop.wait()

        async def health(self) -> Health:
            return Health(ok=True)

        async def close(self) -> None: ...

Software that fetches its messages itself is served by an adapter that answers `Awaiting()`, and calls
`NodeApi.waiting` and `NodeApi.settle` on the software's behalf.
"""

from __future__ import annotations

from adapters.pdf_signatures import PdfSignature
from adapters.sdk.adapter import Adapter, AdapterContext, AdapterFactory, Guarantee, Health
from adapters.sdk.deliveries import (
    Accepted,
    Awaiting,
    Delivery,
    DeliveryKey,
    IncomingAttachment,
    Later,
    Never,
    Outcome,
    Refused,
    Settlement,
)
from adapters.sdk.events import EventName, NodeEvent
from adapters.sdk.node_api import NodeApi
from adapters.sdk.sending import (
    DeliveryState,
    OutgoingAttachment,
    RecallOrder,
    SentDocument,
    SentRecipient,
    Standing,
    StatusReport,
    Submission,
    Submitted,
    UpdateOrder,
)
from adapters.sdk.units import DeclaredUnit, UnitStanding
from adapters.sdk.waiting import Lock, MessageKind, Waiting
from schemas.envelope import Override

__all__ = [
    "Accepted",
    "Adapter",
    "AdapterContext",
    "AdapterFactory",
    "Awaiting",
    "DeclaredUnit",
    "Delivery",
    "DeliveryKey",
    "DeliveryState",
    "EventName",
    "Guarantee",
    "Health",
    "IncomingAttachment",
    "Later",
    "Lock",
    "MessageKind",
    "Never",
    "NodeApi",
    "NodeEvent",
    "Outcome",
    "OutgoingAttachment",
    "Override",
    "PdfSignature",
    "RecallOrder",
    "Refused",
    "SentDocument",
    "SentRecipient",
    "Settlement",
    "Standing",
    "StatusReport",
    "Submission",
    "Submitted",
    "UnitStanding",
    "UpdateOrder",
    "Waiting",
]
