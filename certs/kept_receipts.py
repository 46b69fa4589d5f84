"""Receipts as they are kept in a store, verified anew for an audit: each proof's signature once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from certs.historic_trust import HistoricTrust
from certs.receipts import require_witness
from schemas.auditing import FindingCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.receipt_codec import read_receipt
from schemas.receipts import Receipt, SignedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReceipt:
    """A receipt's row: what its columns say (`since`: the version of the directory that its message was accepted under)
    and its bytes. `proof` names the proof; `proof_body` is None if that is not there."""

    receipt: int
    message_id: Sha256Hex
    senders: frozenset[str]
    recipient: str | None
    event: str
    stored_at: datetime
    since: int
    body: bytes = field(repr=False)
    proof: Sha256Hex
    proof_body: bytes | None = field(repr=False)

    @property
    def name(self) -> str:
        return f"The {self.event}" + (f" of {self.recipient}" if self.recipient else "")


@dataclass(frozen=True, slots=True)
class ReceiptFault:
    """Why a kept receipt proves nothing."""

    code: FindingCode
    sentence: str


def verified_receipts(
    kept: Iterable[KeptReceipt], trust: HistoricTrust
) -> Iterator[tuple[KeptReceipt, Receipt | ReceiptFault]]:
    """Each of `kept` with what it attests, or why it proves nothing.

    Receipts of one proof follow on each other, so that the signature is remembered for all of them.
    """
    for row in sorted(kept, key=lambda each: each.proof):
        yield row, _verified(row, trust)


def _verified(row: KeptReceipt, trust: HistoricTrust) -> Receipt | ReceiptFault:
    if row.proof_body is None:
        return ReceiptFault(
            FindingCode.PROOF_MISSING, f"{row.name} is here; the proof {row.proof} that signs it is gone."
        )
    if hashlib.sha256(row.proof_body).hexdigest() != row.proof:
        return ReceiptFault(FindingCode.RECEIPT_INVALID, f"{row.name} is signed by a proof that was changed.")
    try:
        receipt = _attested(row, SignedReceipt(row.body, row.proof_body), trust)
        require_witness(receipt)
    except Rejected as error:
        return ReceiptFault(
            FindingCode.RECEIPT_INVALID, f"{row.name} does not verify: {error.message} (rule: {error.code})"
        )
    fault = _mismatch(row, receipt)
    if fault is not None:
        return ReceiptFault(FindingCode.RECEIPT_FOREIGN, f"{row.name} does not belong where it stands: {fault}.")
    return receipt


def _attested(row: KeptReceipt, signed: SignedReceipt, trust: HistoricTrust) -> Receipt:
    """What the receipt says, if its signer might sign when it was stored; or else when it happened, by its own word."""
    try:
        return trust.verify(signed, since=row.since, times=(row.stored_at,)).value
    except Rejected:
        claimed = read_receipt(row.body)
        return trust.verify(signed, since=row.since, times=(claimed.occurred_at,)).value


def _mismatch(row: KeptReceipt, receipt: Receipt) -> str | None:
    if receipt.message_id != row.message_id:
        return f"it speaks of the message {receipt.message_id}"
    if receipt.event != row.event:
        return f"it attests {receipt.event}"
    if (receipt.recipient.value if receipt.recipient else None) != row.recipient:
        return f"it speaks of the recipient {receipt.recipient}"
    if receipt.sender.value not in row.senders:
        return f"it names the sender {receipt.sender}"
    return None
