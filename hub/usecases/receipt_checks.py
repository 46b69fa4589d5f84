"""Receipts as they come from nodes: their signatures, who may sign for whom, and which message they speak of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from certs.receipts import OpenedReceipt, ReceiptTrust, open_receipt
from certs.trust import SignerBinding, Trust
from certs.verified import Verified
from hub.store import agencies, directory, messages
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from hub.usecases.anchors import Anchors
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected, Unavailable
from schemas.receipts import IssuerKind, Receipt, SignedReceipt
from transport.wire import ReceiptRef

#: So many receipts are looked up in passing.
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """A verified receipt, issued by the recipient it speaks of; with the message, if the hub holds it."""

    verified: Verified[Receipt]
    signed: SignedReceipt
    recipient: str
    message: KnownMessage | None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the hub knows of those that receipts name."""

    trust: ReceiptTrust
    messages: Mapping[Sha256Hex, KnownMessage]


class ReceiptChecks:
    """Verifies receipts of agencies by the directory as it stands."""

    def __init__(self, database: Database, anchors: Anchors, clock: Clock) -> None:
        self._database = database
        self._anchors = anchors
        self._clock = clock

    async def check(self, refs: Sequence[ReceiptRef], proofs: Mapping[str, bytes]) -> list[CheckedReceipt | Rejected]:
        """Each receipt verified, or why it does not hold, in the order given; `proofs` are the bytes that they name.

        Raises Unavailable (`proof-certificate-not-yet-valid`) if that cannot be said by this clock.
        """
        if not refs:
            return []
        opened = await asyncio.to_thread(lambda: [_opened(ref, proofs) for ref in refs])
        ask = self._database.glance if len(refs) <= _FEW else self._database.read
        return await ask(partial(self._checked, refs, proofs, opened))

    def _checked(
        self,
        refs: Sequence[ReceiptRef],
        proofs: Mapping[str, bytes],
        opened: Sequence[OpenedReceipt | Rejected],
        transaction: Transaction,
    ) -> list[CheckedReceipt | Rejected]:
        """Signers are remembered with their paths: what is left to judge is less than a hop to another thread."""
        claimed = [each.receipt for each in opened if isinstance(each, OpenedReceipt)]
        known = self._known(claimed, transaction)
        return [
            self._check(SignedReceipt(ref.receipt, proofs[ref.proof]), each, known)
            if isinstance(each, OpenedReceipt)
            else each
            for ref, each in zip(refs, opened, strict=True)
        ]

    def _known(self, claimed: Sequence[Receipt], transaction: Transaction) -> _Known:
        issuers = {receipt.issuer.name for receipt in claimed if receipt.issuer.kind is IssuerKind.AGENCY}
        bindings: dict[AgencyCode, SignerBinding | None] = {
            code: agencies.signer_binding(transaction, code) for code in map(AgencyCode, issuers)
        }
        anchors = self._anchors.of(transaction, directory.directory_version(transaction))
        trust = ReceiptTrust(hub_anchors=(), agencies=Trust(anchors, bindings.get))
        return _Known(trust, messages.known(transaction, {receipt.message_id for receipt in claimed}))

    def _check(self, signed: SignedReceipt, opened: OpenedReceipt, known: _Known) -> CheckedReceipt | Rejected:
        try:
            verified = opened.bind(known.trust, self._clock())
        except Rejected as error:
            if error.code == "proof-certificate-not-yet-valid":
                # As for seals: a clock is wrong, and no receipt is refused for that.
                raise Unavailable(error.code, error.message, mend="Check the hub's clock.") from error
            return error
        receipt = verified.value
        if receipt.recipient is None or receipt.issuer.name != receipt.recipient.value:
            return Rejected("receipt-issuer", f"{receipt.issuer.name} issues a receipt of what happened elsewhere.")
        message = known.messages.get(receipt.message_id)
        if message is not None and receipt.sender.value not in (message.from_code, message.sender):
            return Rejected("receipt-sender", f"The message is not {receipt.sender}'s.")
        return CheckedReceipt(verified, signed, receipt.recipient.value, message)


def _opened(ref: ReceiptRef, proofs: Mapping[str, bytes]) -> OpenedReceipt | Rejected:
    """The receipt with its signature verified by the key that it brings, or why that does not hold."""
    proof = proofs.get(ref.proof)
    if proof is None:
        return Rejected("proof-missing", "The request does not bring the proof that the receipt names.")
    try:
        return open_receipt(SignedReceipt(ref.receipt, proof))
    except Rejected as error:
        return error
