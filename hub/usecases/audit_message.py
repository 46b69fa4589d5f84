"""What the stored rows of one message prove, and what is missing or wrong among them.

Everything is derived from the envelope that its seal proves and from receipts that verify. State columns are only
compared with that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from certs.historic_trust import STORED_LIMITS, HistoricTrust
from certs.kept_receipts import KeptReceipt
from certs.unsealing import open_seal
from hub.store.audits import KeptMessage
from hub.store.deliveries import DeliveryState
from hub.usecases.acceptance import recipients_digest
from schemas.auditing import AuditFinding, FindingCode
from schemas.envelope import AttachmentSize, Envelope, Sha256Hex
from schemas.errors import Rejected
from schemas.message import Document
from schemas.receipts import IssuerKind, Receipt, ReceiptEvent

#: A receipt that verifies, by its number in the store.
Proven: TypeAlias = Mapping[int, Receipt]

#: How a delivery ended that the hub ended itself, by the reason that its receipt gives.
_ENDED_BY_HUB: Final = {"expired": DeliveryState.EXPIRED, "cancelled": DeliveryState.CANCELLED}

_FAILURES: Final = frozenset({
    ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
    ReceiptEvent.RELAY_REJECTION,
    ReceiptEvent.RELAY_FAILURE,
})  # fmt: skip

_HANDOVERS: Final = frozenset({ReceiptEvent.CONTENT_HANDOVER, ReceiptEvent.CONTENT_HANDOVER_FAILURE})

_FINAL: Final = frozenset({
    DeliveryState.DELIVERED, DeliveryState.REFUSED, DeliveryState.EXPIRED, DeliveryState.CANCELLED,
})  # fmt: skip


@dataclass(slots=True)
class AuditedMessage:
    """What is proven of a message: `ends` says of each recipient where its delivery stands.

    `attachments` are those that the envelope names; they are looked for by who can see files.
    """

    kept: KeptMessage
    accepted: int = 0
    ends: dict[str, DeliveryState] = field(default_factory=dict)
    attachments: tuple[AttachmentSize, ...] = ()
    findings: list[AuditFinding] = field(default_factory=list)

    def find(self, code: FindingCode, sentence: str, *, agency: str | None = None, element: str | None = None) -> None:
        self.findings.append(
            AuditFinding(code=code, sentence=sentence, message_id=self.kept.message_id, agency=agency, element=element)
        )


def audited(kept: KeptMessage, proven: Proven, trust: HistoricTrust) -> AuditedMessage:
    """`kept`, judged. Receipts that `proven` lacks do not verify, and were found so already."""
    message = AuditedMessage(kept)
    # 1. The hub accepted it: when, for how many, under which version of the directory.
    own = {receipt.receipt: proven[receipt.receipt] for receipt in kept.receipts if receipt.receipt in proven}
    acceptance = next((each for each in own.values() if each.event is ReceiptEvent.SUBMISSION_ACCEPTANCE), None)
    if acceptance is None and not _has_event(kept.receipts, ReceiptEvent.SUBMISSION_ACCEPTANCE):
        message.find(
            FindingCode.RECEIPT_MISSING,
            f"Nothing proves that the message number {kept.message} was accepted: its SubmissionAcceptance is gone.",
            element=ReceiptEvent.SUBMISSION_ACCEPTANCE,
        )
    # 2. The envelope is there and says what the row says.
    envelope = _envelope(message, acceptance, trust)
    # 3. It went to whom the acceptance names.
    candidates = _mentioned(kept, own), _named(kept, envelope, acceptance, trust)
    named = _recipients(message, acceptance, candidates)
    message.accepted = acceptance.recipients_count or 0 if acceptance else len(named)
    # 4. Each delivery has its end, or can still be fetched.
    for code in sorted(named):
        _delivery(message, code, [receipt for receipt in own.values() if _is_of(receipt, code, trust)])
    # 5. Each receipt of a delivery went to the sender.
    _forwarded(message)
    return message


def _version(kept: KeptMessage, acceptance: Receipt | None) -> int:
    """The version of the directory under which the message was accepted."""
    return (acceptance.directory_version if acceptance else None) or kept.directory_version


def _envelope(message: AuditedMessage, acceptance: Receipt | None, trust: HistoricTrust) -> Envelope | None:
    kept = message.kept
    at = acceptance.occurred_at if acceptance else kept.accepted_at
    if kept.envelope is None:
        if kept.purged_at is None:
            message.find(
                FindingCode.ENVELOPE_MISSING,
                f"The envelope of the message number {kept.message} of {kept.from_code} is gone.",
                element="envelope",
            )
        return None
    try:
        opened = open_seal(kept.envelope, STORED_LIMITS)
        envelope = trust.bind(opened, version=_version(kept, acceptance), at=at)
    except Rejected as error:
        message.find(
            FindingCode.ENVELOPE_INVALID,
            f"The seal of the stored envelope does not hold: {error.message} ({error.code})",
            element="envelope",
        )
        return None
    if (envelope.message_id, envelope.value.sender.value) != (kept.message_id, kept.from_code):
        message.find(
            FindingCode.ENVELOPE_FOREIGN,
            f"The row says {kept.message_id} of {kept.from_code}, its envelope is {envelope.message_id} of "
            f"{envelope.value.sender}.",
            element="envelope",
        )
        return None
    if kept.sender not in trust.codes_of(envelope.value.sender):
        message.find(
            FindingCode.ENVELOPE_FOREIGN,
            f"The row counts it as {kept.sender}'s, its envelope is of {envelope.value.sender}.",
            element="messages",
        )
    message.attachments = envelope.value.extension.attachment_sizes
    return envelope.value


def _recipients(message: AuditedMessage, acceptance: Receipt | None, candidates: Sequence[Collection[str]]) -> set[str]:
    """Every recipient of the message; those of them that have no delivery are found missing.

    `candidates` are codes that may be among them, most likely first: those belong to it with which the digest in the
    acceptance is right.
    """
    written = {*message.kept.deliveries, *message.kept.unwritten}
    if acceptance is None or recipients_digest(written) == acceptance.recipients_digest:
        return written
    everyone = set(written)
    for codes in candidates:
        everyone.update(codes)
        if recipients_digest(everyone) == acceptance.recipients_digest:
            for code in sorted(everyone - written):
                message.find(
                    FindingCode.DELIVERY_MISSING,
                    f"The row of the delivery to {code} is gone.",
                    agency=code,
                    element="deliveries",
                )
            return everyone
    message.find(
        FindingCode.RECIPIENTS_DIFFER,
        f"It was accepted for {acceptance.recipients_count} recipients, and there are {len(written)} deliveries: they "
        "are not the same.",
        element="deliveries",
    )
    return written


def _mentioned(kept: KeptMessage, own: Proven) -> set[str]:
    """Recipients of whom a receipt or a mailbox entry speaks."""
    attested = {receipt.recipient.value for receipt in own.values() if receipt.recipient is not None}
    return attested | {code for entry in kept.entries for code in entry.codes}


def _named(kept: KeptMessage, envelope: Envelope | None, acceptance: Receipt | None, trust: HistoricTrust) -> set[str]:
    """Recipients whom the envelope itself names."""
    if envelope is None or not isinstance(envelope.message, Document):
        return set()
    version = _version(kept, acceptance)
    codes = (trust.code_as_of(organ.organ_id, version) for organ in envelope.message.recipients)
    return {code.value for code in codes if code is not None}


def _is_of(receipt: Receipt, code: str, trust: HistoricTrust) -> bool:
    return receipt.recipient is not None and (
        receipt.recipient.value == code or code in trust.codes_of(receipt.recipient)
    )


def _delivery(message: AuditedMessage, code: str, receipts: Collection[Receipt]) -> None:
    kept = message.kept
    row = kept.deliveries.get(code)
    find = partial(message.find, agency=code)
    offered = any(entry.open and entry.receipt is None and code in entry.codes for entry in kept.entries)
    proven = _proven_end(receipts)
    handed_over = [each for each in receipts if each.event in _HANDOVERS]
    if handed_over and offered:
        # A handover says more than a consignment; the receipt of that is on its way while the entry is open.
        proven = DeliveryState.DELIVERED
    elif proven is not DeliveryState.DELIVERED and offered:
        # Offered again after a failure (`hub redeliver`): it is open once more.
        proven = DeliveryState.QUEUED
    message.ends[code] = proven
    if handed_over and proven is not DeliveryState.DELIVERED:
        find(
            FindingCode.RECEIPT_MISSING,
            f"{code} attests {handed_over[0].event}, and nothing attests that it was consigned there.",
            element=ReceiptEvent.CONTENT_CONSIGNMENT,
        )
    elif row is not None and row.state in _FINAL and proven is DeliveryState.QUEUED and not offered:
        find(
            FindingCode.RECEIPT_MISSING,
            f"The delivery to {code} is {row.state}, and no receipt proves it.",
            element=_EVENT_OF_END[row.state],
        )
    elif row is not None and row.state is not proven:
        find(
            FindingCode.STATE_DIFFERS,
            f"The row of the delivery to {code} says {row.state}; by the receipts it is {proven}.",
            element="deliveries",
        )
    elif proven is DeliveryState.QUEUED and not offered and code not in kept.unwritten:
        find(
            FindingCode.DELIVERY_STUCK,
            f"The delivery to {code} waits, and nothing offers it: no mailbox entry is open for it.",
            element="mailbox_entries",
        )
    if kept.purged_at is not None and proven is DeliveryState.QUEUED:
        find(
            FindingCode.PURGED_EARLY,
            f"The payload was dropped while the delivery to {code} waits.",
            element="envelope",
        )


_EVENT_OF_END: Final = {
    DeliveryState.DELIVERED: ReceiptEvent.CONTENT_CONSIGNMENT,
    DeliveryState.REFUSED: ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
    DeliveryState.EXPIRED: ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
    DeliveryState.CANCELLED: ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
}


def _proven_end(receipts: Collection[Receipt]) -> DeliveryState:
    """How a delivery ended by its receipts, in the order in which they came; a consignment supersedes a failure."""
    end = DeliveryState.QUEUED
    for receipt in receipts:
        if receipt.event is ReceiptEvent.CONTENT_CONSIGNMENT:
            return DeliveryState.DELIVERED
        if receipt.event in _FAILURES:
            end = DeliveryState.REFUSED
            if receipt.issuer.kind is IssuerKind.HUB and receipt.reason is not None:
                end = _ENDED_BY_HUB.get(receipt.reason.code, end)
    return end


def _forwarded(message: AuditedMessage) -> None:
    """Entries that must be there: one for each connection that is served, one for each receipt of a delivery."""
    kept = message.kept
    served = {entry.connection for entry in kept.entries if entry.receipt is None}
    still_written = set(kept.unwritten.values())
    codes: defaultdict[str, list[str]] = defaultdict(list)
    for code, delivery in kept.deliveries.items():
        codes[delivery.connection].append(code)
    for connection in sorted(codes.keys() - served - still_written):
        message.find(
            FindingCode.ENTRY_MISSING,
            f"The mailbox entry that hands the message to {connection} is gone.",
            agency=", ".join(sorted(codes[connection])[:10]),
            element="mailbox_entries",
        )
    if kept.purged_at is not None:
        # With the payload go the entries of receipts that the sender has fetched.
        return
    told = {entry.receipt for entry in kept.entries}
    for receipt in kept.receipts:
        if receipt.recipient is not None and receipt.receipt not in told:
            message.find(
                FindingCode.RECEIPT_NOT_FORWARDED,
                f"The {receipt.event} of {receipt.recipient} has no mailbox entry that brings it to the sender.",
                agency=receipt.recipient,
                element="mailbox_entries",
            )


def _has_event(receipts: Collection[KeptReceipt], event: ReceiptEvent) -> bool:
    return any(receipt.event == event for receipt in receipts)


def missing_message(number: int, tables: Collection[str], message_id: Sha256Hex | None) -> AuditFinding:
    """The finding of a message whose row is gone while rows of `tables` belong to it."""
    return AuditFinding(
        code=FindingCode.MESSAGE_MISSING,
        sentence=f"The row of the message number {number} is gone; rows of {', '.join(sorted(tables))} belong to it.",
        message_id=message_id,
        element="messages",
    )
