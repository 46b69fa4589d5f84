"""The signed parts of an evidence container: who says what of the message, and whether the directory lets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from certs.errors import EvidenceRejected
from certs.historic_trust import STORED_LIMITS, HistoricTrust
from certs.receipts import require_witness
from certs.unsealing import open_seal
from certs.verified import Verified
from schemas.codes import AgencyCode
from schemas.envelope import Envelope, Sha256Hex
from schemas.receipt_codec import read_receipt
from schemas.receipts import IssuerKind, Receipt, ReceiptEvent, SignedReceipt


@dataclass(frozen=True, slots=True)
class Testimony:
    """Judges what is said of one message by the directory of its day; `names` are those of agencies.

    `gathered_at` is when the container says that it was made: a seal of which nobody spoke yet is judged then.
    """

    message_id: Sha256Hex
    gathered_at: datetime
    trust: HistoricTrust
    names: Mapping[AgencyCode, str]

    def receipt(self, signed: SignedReceipt, accepted: Receipt | None) -> Receipt:
        """The receipt, if its issuer signed it and it speaks of this message; judged at the time it speaks of.

        An agency's key is one that the directory names for it then (not before the acceptance: clocks differ) or last,
        as a node judges, too.

        Raises ReceiptRejected, EvidenceRejected (`evidence-other-message`, `evidence-sender`), MalformedMessage.
        """
        claimed = read_receipt(signed.receipt)
        accepted_under = (accepted.directory_version if accepted is not None else None) or 0
        then = max(self.trust.number_at(claimed.occurred_at), accepted_under)
        newest = self.trust.head.number if self.trust.head else 0
        receipt = self.trust.verify_as_of(signed, {then, newest}, claimed.occurred_at).value
        require_witness(receipt)
        if receipt.message_id != self.message_id:
            raise EvidenceRejected("evidence-other-message", f"It speaks of another message, {receipt.message_id}.")
        if accepted is not None and receipt.sender.value not in self.trust.codes_of(accepted.sender):
            raise EvidenceRejected("evidence-sender", f"The hub accepted the message from {accepted.sender}.")
        return receipt

    def envelope(self, data: bytes, receipts: Sequence[Receipt]) -> Verified[Envelope]:
        """The envelope, if its seal held when the hub accepted it; if it never did, when it first spoke of it.

        Raises SealRejected, EvidenceRejected (`evidence-other-message`, `evidence-sender`), MalformedMessage.
        """
        opened = open_seal(data, STORED_LIMITS)
        if opened.message_id != self.message_id:
            raise EvidenceRejected("evidence-other-message", f"These bytes are another message, {opened.message_id}.")
        accepted = acceptance_in(receipts)
        if accepted is not None and accepted.sender != opened.sender:
            raise EvidenceRejected("evidence-sender", f"The hub accepted the message from {accepted.sender}.")
        if accepted is None:
            at = min((one.occurred_at for one in receipts), default=self.gathered_at)
            number = self.trust.number_at(at)
        else:
            at = accepted.occurred_at
            number = accepted.directory_version or self.trust.number_at(at)
        return self.trust.bind(opened, version=number, at=at)

    def issuer_of(self, receipt: Receipt) -> str:
        """The issuer as people know it."""
        if receipt.issuer.kind is IssuerKind.HUB:
            return receipt.issuer.name
        return self.agency_named(AgencyCode.parse(receipt.issuer.name))

    def agency_named(self, code: AgencyCode) -> str:
        """A code with the name that the directory has for it."""
        return f"{code} {self.names[code]}" if code in self.names else str(code)


def acceptance_in(receipts: Sequence[Receipt]) -> Receipt | None:
    """The hub's acceptance among `receipts`."""
    return next((one for one in receipts if one.event is ReceiptEvent.SUBMISSION_ACCEPTANCE), None)


def attested_refusal(receipts: Sequence[Receipt], rule: str) -> bool:
    """Whether the message was refused, and never accepted, by that very rule: then a fault is what is attested."""
    refusals = [one.reason.code for one in receipts if one.event is ReceiptEvent.SUBMISSION_REJECTION and one.reason]
    return rule in refusals and acceptance_in(receipts) is None
