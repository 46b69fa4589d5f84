"""What the recorded rows of one message prove, and what is missing or wrong among them.

Everything is derived from the envelope that its seal proves and from receipts that verify. State columns are only
compared with that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from certs.historic_trust import STORED_LIMITS, HistoricTrust
from certs.unsealing import open_seal
from node.store.audits import RecordedMessage
from node.store.states import DeliveryState, HandoverState, OutboxState
from schemas.auditing import AuditFinding, FindingCode
from schemas.codes import AgencyCode
from schemas.envelope import AttachmentSize, Envelope
from schemas.errors import Rejected
from schemas.message import Document
from schemas.receipts import IssuerKind, Receipt, ReceiptEvent

_ENDED_BY_HUB: Final = {"expired": DeliveryState.EXPIRED, "cancelled": DeliveryState.CANCELLED}

_FAILURES: Final = frozenset({
    ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
    ReceiptEvent.RELAY_REJECTION,
    ReceiptEvent.RELAY_FAILURE,
})  # fmt: skip

#: What is attested of a delivery, the furthest first, and what the delivery has come to by it.
_FURTHEST: Final = (
    (ReceiptEvent.CONTENT_HANDOVER, DeliveryState.HANDED_OVER),
    (ReceiptEvent.CONTENT_HANDOVER_FAILURE, DeliveryState.HANDOVER_FAILED),
    (ReceiptEvent.CONTENT_CONSIGNMENT, DeliveryState.CONSIGNED),
)

_EVENT_OF: Final = {state: event for event, state in _FURTHEST} | dict.fromkeys(
    (DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.CANCELLED), ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE
)

#: What the end of a hand-over is receipted with.
_HANDOVERS: Final = {
    HandoverState.HANDED_OVER: ReceiptEvent.CONTENT_HANDOVER,
    HandoverState.REFUSED: ReceiptEvent.CONTENT_HANDOVER_FAILURE,
    HandoverState.PARKED: ReceiptEvent.CONTENT_HANDOVER_FAILURE,
}


@dataclass(slots=True)
class AuditedMessage:
    """What is proven of a message: `ends` says how far each delivery of ours has come, if the hub accepted it."""

    kept: RecordedMessage
    accepted: bool = False
    ends: dict[str, DeliveryState] = field(default_factory=dict)
    attachments: tuple[AttachmentSize, ...] = ()
    findings: list[AuditFinding] = field(default_factory=list)

    def find(self, code: FindingCode, sentence: str, *, agency: str | None = None, element: str | None = None) -> None:
        self.findings.append(
            AuditFinding(code=code, sentence=sentence, message_id=self.kept.message_id, agency=agency, element=element)
        )


def audited(
    kept: RecordedMessage, proven: Mapping[int, Receipt], trust: HistoricTrust, served: frozenset[str]
) -> AuditedMessage:
    """`kept`, judged. Receipts that `proven` lacks do not verify, and were found so already.

    `served` are the codes of our agencies: a message of theirs belongs into the outbox.
    """
    message = AuditedMessage(kept)
    own = [proven[row.receipt] for row in kept.receipts if row.receipt in proven]
    acceptance = next((each for each in own if each.event is ReceiptEvent.SUBMISSION_ACCEPTANCE), None)
    # 1. The hub's word for it.
    attested = acceptance is not None or any(row.event == ReceiptEvent.SUBMISSION_ACCEPTANCE for row in kept.receipts)
    if not attested and (kept.outbox is OutboxState.ACCEPTED or kept.received_at is not None):
        message.find(
            FindingCode.RECEIPT_MISSING,
            "Nothing proves that the hub accepted the message: its SubmissionAcceptance is gone.",
            element=ReceiptEvent.SUBMISSION_ACCEPTANCE,
        )
    # 2. The envelope.
    envelope = _envelope(message, acceptance, trust)
    if envelope is not None:
        message.attachments = envelope.extension.attachment_sizes
    elif kept.sealed is not None:
        message.attachments = tuple(AttachmentSize(digest, row.size) for digest, row in kept.attachments.items())
    # 3. It stands where it belongs.
    _places(message, own, served)
    # 4. How far it has come to each recipient, and to the software of each agency here.
    message.accepted = acceptance is not None
    if acceptance is not None and kept.outbox is OutboxState.REFUSED:
        message.find(
            FindingCode.STATE_DIFFERS,
            "The row of the outbox says that the hub refused the message; by its receipt the hub accepted it.",
            element="outbox",
        )
    for code, delivery in sorted(kept.recipients.items()):
        names = _names(code, kept.written[code], trust)
        _delivery(message, code, delivery, [each for each in own if _recipient(each) in names])
    if acceptance is not None and kept.outbox is not None and kept.recipients:
        _missing(message, acceptance, envelope, own, trust)
    for code, state in sorted(kept.handovers.items()):
        _handover(message, code, state, {each.event for each in own if _recipient(each) == code})
    return message


def _envelope(message: AuditedMessage, acceptance: Receipt | None, trust: HistoricTrust) -> Envelope | None:
    kept = message.kept
    if kept.sealed is None:
        if kept.purged_at is None:
            message.find(FindingCode.ENVELOPE_MISSING, f"The envelope of {kept.sender} is gone.", element="envelope")
        return None
    bound = None
    try:
        opened = open_seal(kept.sealed, STORED_LIMITS)
        # Who may seal, the hub says when it accepts; before that only the bytes themselves can be wrong.
        if acceptance is not None and acceptance.directory_version is not None:
            bound = trust.bind(opened, version=acceptance.directory_version, at=acceptance.occurred_at)
    except Rejected as error:
        message.find(
            FindingCode.ENVELOPE_INVALID,
            f"The seal of the stored envelope does not hold: {error.message} (rule: {error.code})",
            element="envelope",
        )
        return None
    if opened.message_id != kept.message_id or kept.sender.value not in trust.codes_of(opened.sender):
        message.find(
            FindingCode.ENVELOPE_FOREIGN,
            f"The row says {kept.message_id} of {kept.sender}, its envelope is {opened.message_id} of {opened.sender}.",
            element="envelope",
        )
        return None
    return bound.value if bound else None


def _places(message: AuditedMessage, own: Sequence[Receipt], served: frozenset[str]) -> None:
    kept = message.kept
    is_ours = kept.sender.value in served
    if kept.outbox is None and (kept.recipients or (is_ours and kept.received_at is None)):
        message.find(FindingCode.OUTBOX_MISSING, "The row of the outbox is gone.", element="outbox")
    consigned = {
        code for each in own if each.event is ReceiptEvent.CONTENT_CONSIGNMENT and (code := _recipient(each)) in served
    }
    if kept.received_at is None and (kept.handovers or consigned or (not is_ours and kept.outbox is None)):
        message.find(FindingCode.INBOX_MISSING, "The row of the inbox is gone.", element="inbox")
    for code in sorted(consigned - kept.handovers.keys()):
        message.find(
            FindingCode.HANDOVER_MISSING,
            f"It was consigned for {code}, and the row of the hand-over is gone.",
            agency=code,
            element="handovers",
        )
    if kept.outbox is not None and not kept.recipients:
        message.find(
            FindingCode.DELIVERY_MISSING,
            "The rows of its recipients are gone.",
            element="outbox_recipients",
        )


def _missing(
    message: AuditedMessage,
    acceptance: Receipt,
    envelope: Envelope | None,
    own: Sequence[Receipt],
    trust: HistoricTrust,
) -> None:
    """Recipients that the hub acknowledged and that have no row: named, where the envelope or a receipt names them."""
    kept, version = message.kept, acceptance.directory_version or 0

    def then(written: AgencyCode) -> str:
        """The agency's code of the day of the acceptance."""
        return (trust.code_as_of(written, version) or written).value

    here = {then(AgencyCode(written)) for written in kept.written.values()}
    # There may be more: a hub put back to a backup has found more agencies by the same rule.
    lacking = (acceptance.recipients_count or 0) - len(here)
    if lacking <= 0:
        return
    document = envelope.message if envelope else None
    organs = document.recipients if isinstance(document, Document) else ()
    candidates = {then(organ.organ_id) for organ in organs}
    candidates |= {then(each.recipient) for each in own if each.recipient is not None}
    named = sorted(candidates - here)
    for code in named[:lacking]:
        names = trust.codes_of(AgencyCode(code))
        message.ends[code] = _proven([each for each in own if _recipient(each) in names]) or DeliveryState.ACCEPTED
        message.find(
            FindingCode.DELIVERY_MISSING,
            f"The row of the delivery to {code} is gone.",
            agency=code,
            element="outbox_recipients",
        )
    if lacking > len(named):
        message.find(
            FindingCode.RECIPIENTS_DIFFER,
            f"The hub accepted it for {acceptance.recipients_count} recipients, and {len(here)} are on record.",
            element="outbox_recipients",
        )


def _proven(receipts: Sequence[Receipt], column: DeliveryState | None = None) -> DeliveryState | None:
    """How far a delivery has come by its receipts; of several failures (it was offered anew), `column` if it is one."""
    events = {receipt.event for receipt in receipts}
    ends = [_end(receipt) for receipt in receipts if receipt.event in _FAILURES]
    furthest = next((state for event, state in _FURTHEST if event in events), None)
    return furthest or (column if column in ends else next(iter(ends), None))


def _delivery(message: AuditedMessage, code: str, column: DeliveryState, receipts: Sequence[Receipt]) -> None:
    events = {receipt.event for receipt in receipts}
    proven = _proven(receipts, column)
    if proven is None and not message.accepted and message.kept.outbox is OutboxState.REFUSED:
        proven = DeliveryState.REFUSED
    pending = DeliveryState.ACCEPTED if message.accepted else DeliveryState.WAITING
    message.ends[code] = proven or pending
    if proven is None and message.kept.purged_at is not None:
        message.find(
            FindingCode.PURGED_EARLY,
            f"The payload was dropped while the delivery to {code} waits.",
            agency=code,
            element="envelope",
        )
    if proven is None and column in _EVENT_OF:
        message.find(
            FindingCode.RECEIPT_MISSING,
            f"The delivery to {code} is {column}, and no receipt proves it.",
            agency=code,
            element=_EVENT_OF[column],
        )
    elif proven is not None and column is not proven:
        is_behind = _EVENT_OF.get(column) in (*events, None)
        message.find(
            FindingCode.STATE_DIFFERS if is_behind else FindingCode.RECEIPT_MISSING,
            f"The row of the delivery to {code} says {column}; by the receipts it is {proven}.",
            agency=code,
            element="outbox_recipients" if is_behind else _EVENT_OF[column],
        )


def _end(receipt: Receipt) -> DeliveryState:
    if receipt.issuer.kind is IssuerKind.HUB and receipt.reason is not None:
        return _ENDED_BY_HUB.get(receipt.reason.code, DeliveryState.REFUSED)
    return DeliveryState.REFUSED


def _handover(message: AuditedMessage, code: str, state: HandoverState, events: set[ReceiptEvent]) -> None:
    if ReceiptEvent.CONTENT_CONSIGNMENT not in events and not _has_row(message, code, ReceiptEvent.CONTENT_CONSIGNMENT):
        message.find(
            FindingCode.RECEIPT_MISSING,
            f"It is here for {code}, and its ContentConsignment is gone.",
            agency=code,
            element=ReceiptEvent.CONTENT_CONSIGNMENT,
        )
    event = _HANDOVERS.get(state)
    if event is not None and event not in events and not _has_row(message, code, event):
        message.find(
            FindingCode.RECEIPT_MISSING,
            f"The hand-over to {code} is {state}, and its {event} is gone.",
            agency=code,
            element=event,
        )
    elif ReceiptEvent.CONTENT_HANDOVER in events and state is not HandoverState.HANDED_OVER:
        message.find(
            FindingCode.STATE_DIFFERS,
            f"The row of the hand-over to {code} says {state}; by its receipt the software has the message.",
            agency=code,
            element="handovers",
        )
    if message.kept.purged_at is not None and state.is_waiting:
        message.find(
            FindingCode.PURGED_EARLY,
            f"The payload was dropped while the hand-over to {code} waits.",
            agency=code,
            element="envelope",
        )


def _has_row(message: AuditedMessage, code: str, event: ReceiptEvent) -> bool:
    return any(row.event == event and row.recipient == code for row in message.kept.receipts)


def _recipient(receipt: Receipt) -> str | None:
    return receipt.recipient.value if receipt.recipient else None


def _names(code: str, written: str, trust: HistoricTrust) -> frozenset[str]:
    return trust.codes_of(AgencyCode(code)) | trust.codes_of(AgencyCode(written))
