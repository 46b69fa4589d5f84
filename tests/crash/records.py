"""What hub and nodes have on record, read beside the running programs: is all at rest, and which receipts are there."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
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

_OF_EACH_DELIVERY = (
    ReceiptEvent.CONTENT_CONSIGNMENT, ReceiptEvent.CONTENT_HANDOVER, ReceiptEvent.CONTENT_HANDOVER_FAILURE,
)  # fmt: skip
_UNFINISHED = (*(state for state in HandoverState if state.is_waiting), HandoverState.PARKED)

#: A receipt: the message, the event, the recipient ("": the message as a whole).
Receipt = tuple[str, str, str]
#: A message for one recipient.
Delivery = tuple[str, str]


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

    async def missing_receipts(self, returned: Set[Delivery]) -> list[str]:
        """Receipts that should be on record, at the sender's node and at the hub, and are not: a sentence each.

        `returned` are the deliveries that were refused, and have a failure in the place of a hand-over.
        """
        return await self._wrong_receipts(returned, lambda number: number == 0, "is not")

    async def receipts_twice(self, returned: Set[Delivery]) -> list[str]:
        """Receipts that are on record more than once, of any round of a delivery: nothing is delivered again here."""
        return await self._wrong_receipts(returned, lambda number: number > 1, "is more than once")

    async def other_bytes(self, sealed: Mapping[str, Set[str]]) -> list[str]:
        """Messages whose envelope, as agencies took it (`sealed`: digests, by message id), is not what is on record.

        Their bytes at the hub and at the sender's node count: `congvan audit` checks that those are what was sealed.
        """
        places = {"the hub": await self.hub.database.read(_envelopes_at_hub)}
        for code, node in self.nodes.items():
            places[code] = await node.database.read(_envelopes_at_node)
        return list(differing(sealed, places))

    async def _wrong_receipts(self, returned: Set[Delivery], is_wrong: Callable[[int], bool], how: str) -> list[str]:
        at_hub = await self.hub.database.read(_receipts_at_hub)
        wrong = []
        for code, node in self.nodes.items():
            here = await node.database.read(_receipts_at_node)
            for receipt in await node.database.read(partial(_receipts_due, returned=returned)):
                message_id, event, recipient = receipt
                whom = f" of {recipient}" if recipient else ""
                wrong += [
                    f"{event}{whom} for {message_id} {how} on record at {place}."
                    for place, there in ((code, here), ("the hub", at_hub))
                    if is_wrong(there[receipt])
                ]
        return wrong


def differing(sealed: Mapping[str, Set[str]], places: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A sentence for each message and place whose envelope is not the one taken, and for what no place has."""
    for message_id, taken in sealed.items():
        on_record = {place: there[message_id] for place, there in places.items() if message_id in there}
        if not on_record:
            yield f"Nobody has the envelope of {message_id}, which was taken away."
        for place, digest in on_record.items():
            if taken != {digest}:
                yield f"The envelope of {message_id} that {place} has is not the one that was taken away."


def _receipts_due(transaction: Transaction, *, returned: Set[Delivery]) -> list[Receipt]:
    """For each message of this node that the hub accepted: its acceptance, consignments and hand-overs, or failures."""
    recipients = message_tables.outbox_recipients.c
    accepted = select(message_tables.outbox.c.message_id).where(message_tables.outbox.c.state == OutboxState.ACCEPTED)
    deliveries = select(recipients.message_id, recipients.code).where(recipients.message_id.in_(accepted))
    return [
        *((message_id, ReceiptEvent.SUBMISSION_ACCEPTANCE, "") for message_id in transaction.scalars(accepted)),
        *(
            (message_id, event, str(code))
            for message_id, code in transaction.execute(deliveries)
            for event in (ReceiptEvent.CONTENT_CONSIGNMENT, _ended((message_id, str(code)) in returned))
        ),
    ]


def _receipts_at_node(transaction: Transaction) -> Counter[Receipt]:
    table = receipt_tables.receipts.c
    rows = transaction.execute(select(table.message_id, table.event, table.issuer_name))
    return Counter((message_id, event, _recipient(event, issuer)) for message_id, event, issuer in rows)


def _receipts_at_hub(transaction: Transaction) -> Counter[Receipt]:
    receipts, messages = hub_tables.receipts.c, hub_tables.messages.c
    rows = transaction.execute(
        select(messages.message_id, receipts.event, receipts.recipient).join_from(
            hub_tables.receipts, hub_tables.messages, messages.message == receipts.message
        )
    )
    return Counter((message_id, event, _recipient(event, str(recipient))) for message_id, event, recipient in rows)


def _envelopes_at_node(transaction: Transaction) -> dict[str, str]:
    table = message_tables.envelopes.c
    rows = transaction.execute(select(table.message_id, table.sealed))
    return {message_id: hashlib.sha256(sealed).hexdigest() for message_id, sealed in rows}


def _envelopes_at_hub(transaction: Transaction) -> dict[str, str]:
    envelopes, messages = hub_tables.envelopes.c, hub_tables.messages.c
    rows = transaction.execute(
        select(messages.message_id, envelopes.body).join_from(
            hub_tables.envelopes, hub_tables.messages, messages.message == envelopes.message
        )
    )
    return {message_id: hashlib.sha256(body).hexdigest() for message_id, body in rows}


def _ended(is_returned: bool) -> ReceiptEvent:
    return ReceiptEvent.CONTENT_HANDOVER_FAILURE if is_returned else ReceiptEvent.CONTENT_HANDOVER


def _recipient(event: str, name: str) -> str:
    return name if event in _OF_EACH_DELIVERY else ""
