"""Receipts that come back about our messages: verified, kept, and told to the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from certs.receipts import require_witness
from node.store import directory as directory_store
from node.store import outbox, recipients, reports
from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.states import DeliveryState
from node.usecases.addressing import codes_of
from node.usecases.receipts import ReceiptVerifier
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import Rejected, Unavailable
from schemas.receipts import IssuerKind, Receipt, ReceiptEvent, SignedReceipt
from transport.wire import OutcomeKind, ReceiptEntry

log = structlog.get_logger()

#: How far a delivery has come, by what was attested last.
_DELIVERIES: Final = {
    ReceiptEvent.CONTENT_CONSIGNMENT: DeliveryState.CONSIGNED,
    ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE: DeliveryState.REFUSED,
    ReceiptEvent.CONTENT_HANDOVER: DeliveryState.HANDED_OVER,
    ReceiptEvent.CONTENT_HANDOVER_FAILURE: DeliveryState.HANDOVER_FAILED,
    ReceiptEvent.RELAY_REJECTION: DeliveryState.REFUSED,
    ReceiptEvent.RELAY_FAILURE: DeliveryState.REFUSED,
}

#: A hub that gives a delivery up says by the reason's code how.
_ENDED_BY_HUB: Final = {"expired": DeliveryState.EXPIRED, "cancelled": DeliveryState.CANCELLED}

#: Signatures that do not hold because of what this node knows of the world; the directory may be about to change.
_TRUST_RULES: Final = frozenset({
    "agency-unknown", "anchor-prefix", "signer-not-bound", "proof-certificate-untrusted", "proof-certificate-expired",
    "proof-certificate-not-yet-valid",
})  # fmt: skip

#: Seconds until such a receipt is asked for again.
_WHEN_RIGHT: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A receipt that holds, and what proves it."""

    receipt: Receipt
    signed: SignedReceipt


class ReceiptIntake:
    """Takes the receipts of a mailbox answer."""

    def __init__(self, database: Database, verifier: ReceiptVerifier, wakeups: Wakeups, clock: Clock) -> None:
        self._database = database
        self._verifier = verifier
        self._wakeups = wakeups
        self._clock = clock

    async def take(
        self, entries: Sequence[ReceiptEntry], proofs: Mapping[str, bytes]
    ) -> tuple[tuple[ReceiptEntry, Unavailable], ...]:
        """Keep what holds; durable when this returns. Gives the entries of which that cannot be said yet.

        A receipt that can never hold is said in the log and not asked for again: the hub keeps it for whoever looks
        into it.
        """
        verified = await asyncio.gather(*(self._verified(entry, proofs) for entry in entries))
        settled = list(zip(entries, verified, strict=True))
        later = [(entry, held) for entry, held in settled if isinstance(held, Unavailable)]

        def keep(transaction: Transaction) -> None:
            for entry, held in settled:
                if isinstance(held, _Held):
                    self._keep(transaction, held)
                if not isinstance(held, Unavailable):
                    reports.add_outcome(transaction, entry.entry, entry.lease, OutcomeKind.RECEIVED, receipts=())

        if len(later) < len(settled):
            await self._database.write(keep)
            self._wakeups.wake(Work.REPORTING)
        return tuple(later)

    async def _verified(self, entry: ReceiptEntry, proofs: Mapping[str, bytes]) -> _Held | Rejected | Unavailable:
        proof = proofs.get(entry.receipt.proof)
        if proof is None:
            return self._refused(entry, Rejected("proof-missing", "The hub brings no proof of the receipt."))
        signed = SignedReceipt(entry.receipt.receipt, proof)
        try:
            verified = await self._verifier.verify(signed)
            require_witness(verified.value)
        except Rejected as error:
            if error.code in _TRUST_RULES:
                later = Unavailable(error.code, error.message)
                later.retry_after = _WHEN_RIGHT
                return later
            return self._refused(entry, error)
        return _Held(verified.value, signed)

    def _refused(self, entry: ReceiptEntry, error: Rejected) -> Rejected:
        log.error("receipt.refused", entry=entry.entry, rule=error.code, reason=error.message)
        return error

    def _keep(self, transaction: Transaction, held: _Held) -> None:
        receipt = held.receipt
        if outbox.standing_of(transaction, receipt.message_id) is None:
            # Of a message that this node does not know as its own (it was restored from a backup?).
            log.warning("receipt.foreign", message=receipt.message_id, of=receipt.event, issuer=receipt.issuer.name)
            return
        row = None
        if receipt.recipient is not None:
            entry = directory_store.agency(transaction, receipt.recipient)
            row = recipients.recipient_among(
                transaction, receipt.message_id, codes_of(entry) if entry else (receipt.recipient,)
            )
            if row is None:
                log.warning("receipt.foreign", message=receipt.message_id, of=receipt.event, issuer=receipt.issuer.name)
                return
        receipt_store.add(transaction, [(receipt, held.signed)], at=self._clock())
        delivery = _delivery_of(receipt)
        if row is not None and delivery is not None:
            trouble = Trouble(code=receipt.reason.code, text=receipt.reason.text) if receipt.reason else None
            recipients.advance(transaction, receipt.message_id, row, delivery, at=receipt.occurred_at, trouble=trouble)


def _delivery_of(receipt: Receipt) -> DeliveryState | None:
    if receipt.issuer.kind is IssuerKind.HUB and receipt.reason is not None:
        return _ENDED_BY_HUB.get(receipt.reason.code, _DELIVERIES.get(receipt.event))
    return _DELIVERIES.get(receipt.event)
