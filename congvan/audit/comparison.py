"""What is wrong with one message when all sides are asked about it, and what of it is on its way.

Each rule is of the form: whoever says the later thing, the side that must have said the earlier thing says it too.
Side by side, a side that was asked first can be behind: what is found counts once it is found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from hub.store.audit_records import HubRecord
from node.store.audit_records import NodeRecord
from node.store.states import HandoverState, OutboxState
from schemas.auditing import AuditFinding, FindingCode, ReceiptRecord
from schemas.envelope import Sha256Hex
from schemas.receipts import ReceiptEvent

_AT_RECIPIENT: Final = frozenset({
    ReceiptEvent.CONTENT_CONSIGNMENT, ReceiptEvent.CONTENT_HANDOVER, ReceiptEvent.CONTENT_HANDOVER_FAILURE,
})  # fmt: skip
_HANDED_OVER: Final = frozenset({ReceiptEvent.CONTENT_HANDOVER, ReceiptEvent.CONTENT_HANDOVER_FAILURE})
_ENDED: Final = frozenset({
    ReceiptEvent.CONTENT_CONSIGNMENT, ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
    ReceiptEvent.RELAY_REJECTION, ReceiptEvent.RELAY_FAILURE,
})  # fmt: skip


class Stage(StrEnum):
    """Where something on its way is."""

    SUBMITTED = "submitted, not yet accepted"
    ACCEPTED = "accepted, not yet consigned"
    CONSIGNED = "consigned, not yet handed over"
    PARKED = "parked by the recipient's node until a person drives it again"
    TO_REPORT = "receipt not yet told to the hub"
    TO_FETCH = "receipt not yet fetched by the sender"


@dataclass(frozen=True, slots=True)
class InFlight:
    """Something on its way: for which agency (or from which node), and since when."""

    stage: Stage
    message_id: Sha256Hex
    agency: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Sides:
    """What the hub and the nodes, by their connections, say of one message.

    `has_hub`, and `asked` (the connections), say who was asked at all.
    """

    message_id: Sha256Hex
    has_hub: bool
    asked: frozenset[str]
    hub: HubRecord | None = None
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)


def compared(sides: Sides) -> Iterator[AuditFinding]:
    """Everything that does not fit."""
    yield from _messages(sides)
    yield from _bytes(sides)
    if sides.hub is not None:
        yield from _consigned(sides, sides.hub)
        yield from _reported(sides, sides.hub)
        yield from _fetched(sides, sides.hub)
    yield from _handed_over(sides)


def in_flight(sides: Sides) -> Iterator[InFlight]:
    """What of the message is on its way."""
    hub = sides.hub
    for node in sides.nodes.values():
        if node.created_at is not None and not _is_settled(node):
            yield InFlight(Stage.SUBMITTED, sides.message_id, None, node.created_at)
        for code, state in sorted(node.handovers.items()):
            if state is HandoverState.PARKED and node.received_at is not None:
                attested_at = (receipt.stored_at for receipt in node.receipts if receipt.recipient == code)
                yield InFlight(Stage.PARKED, sides.message_id, code, max(attested_at, default=node.received_at))
        for receipt in node.receipts:
            if receipt.waiting:
                yield InFlight(Stage.TO_REPORT, sides.message_id, receipt.recipient, receipt.stored_at)
    if hub is None:
        return
    for code, connection in sorted(hub.recipients.items()):
        attested = [receipt for receipt in hub.receipts if receipt.recipient == code]
        served_by = sides.nodes.get(connection)
        here = [receipt for receipt in served_by.receipts if receipt.recipient == code] if served_by else []
        events = {receipt.event for receipt in (*attested, *here)}
        if not events & _ENDED:
            yield InFlight(Stage.ACCEPTED, sides.message_id, code, hub.accepted_at)
        elif ReceiptEvent.CONTENT_CONSIGNMENT in events and (
            not events & _HANDED_OVER or _is_driven_again(served_by, code)
        ):
            since = min(receipt.stored_at for receipt in (*attested, *here))
            yield InFlight(Stage.CONSIGNED, sides.message_id, code, since)
        for receipt in attested:
            if receipt.waiting:
                yield InFlight(Stage.TO_FETCH, sides.message_id, code, receipt.stored_at)


def _is_driven_again(node: NodeRecord | None, code: str) -> bool:
    """Whether the hand-over waits, though an attested failure may have ended it once."""
    return node is not None and code in node.handovers and node.handovers[code].is_waiting


def _is_settled(node: NodeRecord) -> bool:
    return node.outbox is OutboxState.REFUSED or _attests(node, ReceiptEvent.SUBMISSION_ACCEPTANCE)


def _messages(sides: Sides) -> Iterator[AuditFinding]:
    if sides.has_hub and sides.hub is None:
        for connection, node in sides.nodes.items():
            if _attests(node, ReceiptEvent.SUBMISSION_ACCEPTANCE):
                yield _finding(
                    sides,
                    FindingCode.HUB_LACKS_MESSAGE,
                    f"The node {connection} has the hub's word that it accepted the message, and the hub has no such "
                    "message.",
                    element=connection,
                )
    if sides.hub is not None and sides.hub.connection in sides.asked:
        sender = sides.nodes.get(sides.hub.connection)
        if sender is None or sender.outbox is None:
            yield _finding(
                sides,
                FindingCode.SENDER_LACKS_MESSAGE,
                f"The hub accepted the message from {sides.hub.connection}, whose outbox has no such message.",
                element=sides.hub.connection,
            )


def _bytes(sides: Sides) -> Iterator[AuditFinding]:
    kept = {name: node.envelope for name, node in sides.nodes.items() if node.envelope is not None}
    if sides.hub is not None and sides.hub.envelope is not None:
        kept["the hub"] = sides.hub.envelope
    if len(set(kept.values())) > 1:
        yield _finding(
            sides,
            FindingCode.BYTES_DIFFER,
            f"The envelopes that {', '.join(sorted(kept))} have are not the same bytes.",
            element="envelope",
        )


def _consigned(sides: Sides, hub: HubRecord) -> Iterator[AuditFinding]:
    """What the hub has a consignment of, the recipient's node has."""
    for receipt in hub.receipts:
        connection = hub.recipients.get(receipt.recipient or "")
        if receipt.event != ReceiptEvent.CONTENT_CONSIGNMENT or connection not in sides.asked:
            continue
        node = sides.nodes.get(connection or "")
        if node is None or receipt.recipient not in node.handovers:
            yield _finding(
                sides,
                FindingCode.RECIPIENT_LACKS_MESSAGE,
                f"{receipt.recipient} attested that it was consigned, and the inbox of {connection} has no such "
                "message.",
                agency=receipt.recipient,
                element=connection,
            )
        elif not _has(node.receipts, receipt):
            yield _lost(sides, receipt, f"the node {connection}, which issued it")


def _reported(sides: Sides, hub: HubRecord) -> Iterator[AuditFinding]:
    """What a recipient's node attested and has told, the hub has."""
    for code, connection in hub.recipients.items():
        node = sides.nodes.get(connection)
        if node is None or code not in node.handovers:
            continue
        for receipt in node.receipts:
            is_ours = receipt.recipient == code and receipt.event in _AT_RECIPIENT
            if is_ours and not receipt.waiting and not _has(hub.receipts, receipt):
                yield _lost(sides, receipt, "the hub, which was told of it")


def _fetched(sides: Sides, hub: HubRecord) -> Iterator[AuditFinding]:
    """What the hub has attested of and the sender has fetched, the sender's node has, byte for byte."""
    sender = sides.nodes.get(hub.connection)
    if sender is None or sender.outbox is None:
        return
    for receipt in hub.receipts:
        is_told = sender.outbox is OutboxState.ACCEPTED if receipt.recipient is None else not receipt.waiting
        concerns = receipt.recipient is None or receipt.recipient in sender.recipients
        if is_told and concerns and not _has(sender.receipts, receipt):
            yield _lost(sides, receipt, f"the node {hub.connection}, which sent the message")
    known = {receipt.digest for receipt in hub.receipts}
    for receipt in sender.receipts:
        if _was_accepted_anew(hub, receipt):
            continue
        if receipt.digest not in known and _has(hub.receipts, receipt) and receipt.event not in _AT_RECIPIENT:
            yield _finding(
                sides,
                FindingCode.RECEIPTS_DIFFER,
                f"The {receipt.event} that {hub.connection} has is another one than the hub's.",
                agency=receipt.recipient,
                element=receipt.event,
            )


def _was_accepted_anew(hub: HubRecord, receipt: ReceiptRecord) -> bool:
    """Whether the hub's acceptance is younger than the sender's: a hub put back to a backup accepted once more.

    Both hold; each side's own audit has verified its own. The sender keeps the first, which proves when it was in time.
    """
    return receipt.event == ReceiptEvent.SUBMISSION_ACCEPTANCE and any(
        each.event == receipt.event and each.stored_at > receipt.stored_at for each in hub.receipts
    )


def _handed_over(sides: Sides) -> Iterator[AuditFinding]:
    """Of one message one hand-over to one agency, wherever it is attested."""
    attested: dict[str, set[Sha256Hex]] = {}
    records: list[NodeRecord | HubRecord] = [*sides.nodes.values()]
    if sides.hub is not None:
        records.append(sides.hub)
    for receipt in (receipt for record in records for receipt in record.receipts):
        if receipt.event == ReceiptEvent.CONTENT_HANDOVER and receipt.recipient is not None:
            attested.setdefault(receipt.recipient, set()).add(receipt.digest)
    for code, digests in sorted(attested.items()):
        if len(digests) > 1:
            yield _finding(
                sides,
                FindingCode.HANDED_OVER_TWICE,
                f"{len(digests)} hand-overs to the software of {code} are attested.",
                agency=code,
                element=ReceiptEvent.CONTENT_HANDOVER,
            )


def _attests(record: NodeRecord, event: str) -> bool:
    return any(receipt.event == event for receipt in record.receipts)


def _has(receipts: list[ReceiptRecord], wanted: ReceiptRecord) -> bool:
    return any((each.event, each.recipient) == (wanted.event, wanted.recipient) for each in receipts)


def _lost(sides: Sides, receipt: ReceiptRecord, who: str) -> AuditFinding:
    whose = f"{receipt.event} of {receipt.recipient}" if receipt.recipient else receipt.event
    return _finding(
        sides,
        FindingCode.RECEIPT_LOST,
        f"The {whose} is not at {who}.",
        agency=receipt.recipient,
        element=receipt.event,
    )


def _finding(
    sides: Sides, code: FindingCode, sentence: str, *, agency: str | None = None, element: str | None = None
) -> AuditFinding:
    return AuditFinding(code=code, sentence=sentence, message_id=sides.message_id, agency=agency, element=element)
