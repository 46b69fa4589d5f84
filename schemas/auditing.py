"""What an audit finds and counts: plain values that the audit of a hub, of a node, and of several together share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from schemas.envelope import Sha256Hex

#: Findings that a report keeps; more are counted alone, so that a ruined database costs no more memory.
MOST_FINDINGS: Final = 10_000


class FindingCode(StrEnum):
    """What can be wrong with what is stored. docs/operations.md says of each what it means and what to do."""

    MESSAGE_MISSING = "message-missing"
    NUMBER_GAP = "number-gap"
    ENVELOPE_MISSING = "envelope-missing"
    ENVELOPE_INVALID = "envelope-invalid"
    ENVELOPE_FOREIGN = "envelope-foreign"
    ATTACHMENT_MISSING = "attachment-missing"
    ATTACHMENT_SIZE = "attachment-size"
    ATTACHMENT_CHANGED = "attachment-changed"
    RECEIPT_MISSING = "receipt-missing"
    RECEIPT_INVALID = "receipt-invalid"
    RECEIPT_FOREIGN = "receipt-foreign"
    PROOF_MISSING = "proof-missing"
    RECIPIENTS_DIFFER = "recipients-differ"
    DELIVERY_MISSING = "delivery-missing"
    DELIVERY_STUCK = "delivery-stuck"
    ENTRY_MISSING = "entry-missing"
    RECEIPT_NOT_FORWARDED = "receipt-not-forwarded"
    STATE_DIFFERS = "state-differs"
    PURGED_EARLY = "purged-early"
    HANDOVER_MISSING = "handover-missing"
    INBOX_MISSING = "inbox-missing"
    OUTBOX_MISSING = "outbox-missing"
    REPORT_BROKEN = "report-broken"
    UPLOAD_BROKEN = "upload-broken"
    DIRECTORY_INVALID = "directory-invalid"
    # Of several databases together.
    HUB_LACKS_MESSAGE = "hub-lacks-message"
    SENDER_LACKS_MESSAGE = "sender-lacks-message"
    RECIPIENT_LACKS_MESSAGE = "recipient-lacks-message"
    BYTES_DIFFER = "bytes-differ"
    RECEIPT_LOST = "receipt-lost"
    RECEIPTS_DIFFER = "receipts-differ"
    HANDED_OVER_TWICE = "handed-over-twice"


_RESTORE = "Take what is missing from a backup."

#: What to do about each, in a sentence.
MENDS: Final[Mapping[FindingCode, str]] = {
    FindingCode.MESSAGE_MISSING: _RESTORE,
    FindingCode.NUMBER_GAP: "Compare with a backup, and with the senders' nodes (`congvan audit`).",
    FindingCode.ENVELOPE_MISSING: "Take it from a backup, or from the other side: its id proves the bytes.",
    FindingCode.ENVELOPE_INVALID: "Take it from a backup, or from the other side: its id proves the bytes.",
    FindingCode.ENVELOPE_FOREIGN: "Take the row and its envelope from a backup.",
    FindingCode.ATTACHMENT_MISSING: "Take it from a backup, or from the other side: its name proves the bytes.",
    FindingCode.ATTACHMENT_SIZE: "Take it from a backup, or from the other side: its name proves the bytes.",
    FindingCode.ATTACHMENT_CHANGED: "Take it from a backup, or from the other side: its name proves the bytes.",
    FindingCode.RECEIPT_MISSING: "Take it from a backup, or from the other side, where it is kept as well.",
    FindingCode.RECEIPT_INVALID: "Take receipt and proof from a backup, or from the other side.",
    FindingCode.RECEIPT_FOREIGN: "Take the row from a backup.",
    FindingCode.PROOF_MISSING: "Take it from a backup, or from the other side, where it is kept as well.",
    FindingCode.RECIPIENTS_DIFFER: "Compare the deliveries with a backup.",
    FindingCode.DELIVERY_MISSING: "Take the row from a backup.",
    FindingCode.DELIVERY_STUCK: "Run `congvan hub redeliver`, or take the row from a backup.",
    FindingCode.ENTRY_MISSING: "Take the row from a backup.",
    FindingCode.RECEIPT_NOT_FORWARDED: "The receipt is here: hand it to the sender with `congvan hub evidence`.",
    FindingCode.STATE_DIFFERS: "Believe the receipts; set the row right from a backup.",
    FindingCode.PURGED_EARLY: "Ask the sender for it: a new submission of the same bytes is the same message.",
    FindingCode.HANDOVER_MISSING: "Take the row from a backup; look whether the agency's software has the document.",
    FindingCode.INBOX_MISSING: "Take the row from a backup.",
    FindingCode.OUTBOX_MISSING: "Take the row from a backup.",
    FindingCode.REPORT_BROKEN: "Take the receipt from a backup.",
    FindingCode.UPLOAD_BROKEN: "Nothing accepted is concerned: the sender submits it again.",
    FindingCode.DIRECTORY_INVALID: "Take the version from a backup, or from any node.",
    FindingCode.HUB_LACKS_MESSAGE: "If the hub was restored, run `congvan hub restored`; else take it from a backup.",
    FindingCode.SENDER_LACKS_MESSAGE: "If the node was restored, its sender's software must be compared by hand.",
    FindingCode.RECIPIENT_LACKS_MESSAGE: "If the node was restored, start it: it asks the hub to offer it again.",
    FindingCode.BYTES_DIFFER: "Audit both sides: the one whose seal does not hold is wrong.",
    FindingCode.RECEIPT_LOST: "Take it from the side that has it.",
    FindingCode.RECEIPTS_DIFFER: "Audit both sides: the receipt that does not verify is wrong.",
    FindingCode.HANDED_OVER_TWICE: "Ask the agency which of the two its software has.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """One thing that is missing or wrong. `element` is the thing (a receipt's event, an attachment's digest, a row)."""

    code: FindingCode
    sentence: str
    message_id: Sha256Hex | None = None
    agency: str | None = None
    element: str | None = None

    @property
    def mend(self) -> str:
        return MENDS[self.code]


@dataclass(slots=True)
class Findings:
    """Findings as they come: the first are kept, all are counted."""

    most: int = MOST_FINDINGS
    kept: list[AuditFinding] = field(default_factory=list)
    count: int = 0

    def add(self, finding: AuditFinding) -> None:
        self.count += 1
        if len(self.kept) < self.most:
            self.kept.append(finding)

    def extend(self, findings: Iterable[AuditFinding]) -> None:
        for finding in findings:
            self.add(finding)


@dataclass(slots=True, kw_only=True)
class Examined:
    """How much an audit looked at. `purged` messages have no payload any more; `attachments` are those looked for.

    `unreached` of these are files in a store that was not given: nothing is said of them.
    """

    messages: int = 0
    purged: int = 0
    attachments: int = 0
    unreached: int = 0
    receipts: int = 0
    directory_versions: int = 0


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    """A receipt that a side keeps, by the SHA-256 of its bytes. `waiting`: the next to have it has not had it yet."""

    event: str
    recipient: str | None
    digest: Sha256Hex
    stored_at: datetime
    waiting: bool
