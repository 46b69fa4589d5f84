"""What hub and nodes have on record, read beside the running programs: is all at rest, and which receipts are there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from sqlalchemy import select

from hub.foundation import Foundation as Hub
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from hub.store import exchange_tables as hub_tables
from hub.store.metadata import Transaction
from hub.usecases.balance import balance_of
from node.foundation import Foundation as Node
from node.foundation import open_foundation as open_node
from node.settings import NodeFolder
from node.store import message_tables, receipt_tables
from node.store.states import HandoverState, OutboxState
from schemas.receipts import ReceiptEvent
from tests.crash.load import CODES
from tests.crash.site import CrashSite

_OF_EACH_DELIVERY = (ReceiptEvent.CONTENT_CONSIGNMENT, ReceiptEvent.CONTENT_HANDOVER)
_UNFINISHED = (*(state for state in HandoverState if state.is_waiting), HandoverState.PARKED)

#: A receipt: the message, the event, the recipient ("": the message as a whole).
Receipt = tuple[str, str, str]


@dataclass(slots=True)
class Records:
    """The databases of `site`, open within `async with`."""

    site: CrashSite
    hub: Hub = field(init=False)
    nodes: dict[str, Node] = field(init=False, default_factory=dict)
    _resources: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.hub = await stack.enter_async_context(open_hub(HubFolder(self.site.site.hub_folder)))
            for code in CODES:
                folder = NodeFolder(self.site.site.node_folder(code))
                self.nodes[code] = await stack.enter_async_context(open_node(folder))
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def unrest(self) -> list[str]:
        """What is still under way, a sentence each; none when all has run dry."""
        balance = await balance_of(self.hub.database)
        under_way = []
        if not balance.balances or balance.overall.pending:
            under_way.append(f"The hub's balance: {balance.overall}.")
        for code, node in self.nodes.items():
            status = await node.queries.status()
            waiting = {state: status.outbox.get(state, 0) for state in OutboxState if state.is_waiting}
            unfinished = {state: status.handovers.get(state, 0) for state in _UNFINISHED}
            counts = {f"outbox {state}": count for state, count in waiting.items()}
            counts |= {f"hand-overs {state}": count for state, count in unfinished.items()}
            counts["reports waiting"] = status.reports_waiting
            left = ", ".join(f"{what} {count}" for what, count in counts.items() if count)
            if left:
                under_way.append(f"{code}: {left}.")
        return under_way

    async def missing_receipts(self) -> list[str]:
        """Receipts that should be on record, at the sender's node and at the hub, and are not: a sentence each."""
        at_hub = await self.hub.database.read(_receipts_at_hub)
        missing = []
        for code, node in self.nodes.items():
            here = await node.database.read(_receipts_at_node)
            for receipt in await node.database.read(_receipts_due):
                message_id, event, recipient = receipt
                whom = f" of {recipient}" if recipient else ""
                missing += [
                    f"{event}{whom} for {message_id} is not on record at {place}."
                    for place, there in ((code, here), ("the hub", at_hub))
                    if receipt not in there
                ]
        return missing


def _receipts_due(transaction: Transaction) -> list[Receipt]:
    """For each message of this node that the hub accepted: its acceptance, consignments and hand-overs."""
    recipients = message_tables.outbox_recipients.c
    accepted = select(message_tables.outbox.c.message_id).where(message_tables.outbox.c.state == OutboxState.ACCEPTED)
    deliveries = select(recipients.message_id, recipients.code).where(recipients.message_id.in_(accepted))
    return [
        *((message_id, ReceiptEvent.SUBMISSION_ACCEPTANCE, "") for message_id in transaction.scalars(accepted)),
        *(
            (message_id, event, str(code))
            for message_id, code in transaction.execute(deliveries)
            for event in _OF_EACH_DELIVERY
        ),
    ]


def _receipts_at_node(transaction: Transaction) -> set[Receipt]:
    table = receipt_tables.receipts.c
    rows = transaction.execute(select(table.message_id, table.event, table.issuer_name))
    return {(message_id, event, _recipient(event, issuer)) for message_id, event, issuer in rows}


def _receipts_at_hub(transaction: Transaction) -> set[Receipt]:
    receipts, messages = hub_tables.receipts.c, hub_tables.messages.c
    rows = transaction.execute(
        select(messages.message_id, receipts.event, receipts.recipient).join_from(
            hub_tables.receipts, hub_tables.messages, messages.message == receipts.message
        )
    )
    return {(message_id, event, _recipient(event, str(recipient))) for message_id, event, recipient in rows}


def _recipient(event: str, name: str) -> str:
    return name if event in _OF_EACH_DELIVERY else ""
