"""Receipts that come back about our messages: verified, kept, and told to the outbox."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from certs.receipts import require_witness
from certs.verified import Verified
from node.store import outbox, reports, selection, standing
from node.store.metadata import Transaction
from node.usecases.lanes import LANES
from node.usecases.own_messages import OwnMessages
from node.usecases.receipt_keeping import HeldReceipt, keep_receipt
from node.usecases.receipts import ReceiptVerifier
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected, Unavailable
from schemas.receipts import Receipt, SignedReceipt
from transport.wire import OutcomeKind, ReceiptEntry

log = structlog.get_logger()


#: Signatures that do not hold because of what this node knows of the world; the directory may be about to change.
_TRUST_RULES: Final = frozenset({
    "agency-unknown", "anchor-prefix", "signer-not-bound", "proof-certificate-untrusted", "proof-certificate-expired",
    "proof-certificate-not-yet-valid",
})  # fmt: skip

#: Seconds until such a receipt is asked for again.
_WHEN_RIGHT: Final = 300.0
#: Seconds until a receipt is asked for again that overtook the answer to the submission.
_SOON: Final = 2.0


class ReceiptIntake:
    """Takes the receipts of a mailbox answer."""

    def __init__(
        self, database: Database, verifier: ReceiptVerifier, own: OwnMessages, wakeups: Wakeups, clock: Clock
    ) -> None:
        self._database = database
        self._own = own
        self._verifier = verifier
        self._wakeups = wakeups
        self._clock = clock

    async def take(
        self, entries: Sequence[ReceiptEntry], proofs: Mapping[str, bytes], *, epoch: str
    ) -> tuple[tuple[ReceiptEntry, Unavailable], ...]:
        """Keep what holds; durable when this returns. Gives the entries of which that cannot be said yet.

        A receipt that can never hold is said in the log and not asked for again: the hub keeps it for whoever looks
        into it.
        """
        if not entries:
            return ()
        verified = await self._verified(entries, proofs)
        await self._recover({held.receipt.message_id for held in verified if isinstance(held, HeldReceipt)}, epoch)
        verified = await self._database.read(partial(_after_acceptance, verified=verified))
        settled = list(zip(entries, verified, strict=True))
        later = [(entry, held) for entry, held in settled if isinstance(held, Unavailable)]

        def keep(transaction: Transaction) -> None:
            standing.raise_mark(transaction)
            for entry, held in settled:
                if isinstance(held, HeldReceipt):
                    keep_receipt(transaction, held, at=self._clock())
                if not isinstance(held, Unavailable):
                    # Nobody waits for it but the mailbox.
                    reports.add_outcome(
                        transaction, entry.entry, entry.lease, OutcomeKind.RECEIVED, lane=LANES - 1, receipts=()
                    )

        if len(later) < len(settled):
            await self._database.write(keep)
            self._wakeups.wake(Work.REPORTING)
            self._wakeups.wake(Work.EVENTS)
        return tuple(later)

    async def _recover(self, message_ids: Collection[Sha256Hex], epoch: str) -> None:
        """Fetch back those of the messages that this record lacks: whoever gets receipts has sent something."""
        for message_id in await self._database.read(partial(_unknown, message_ids=message_ids)):
            await self._own.recover(message_id, epoch=epoch)

    async def _verified(
        self, entries: Sequence[ReceiptEntry], proofs: Mapping[str, bytes]
    ) -> list[HeldReceipt | Rejected | Unavailable]:
        """What is to be said of each entry. Verified together: a batch has a few proofs, of a few agencies."""
        brought = [
            (entry, SignedReceipt(entry.receipt.receipt, proofs[entry.receipt.proof]))
            for entry in entries
            if entry.receipt.proof in proofs
        ]
        verified = await self._verifier.verify_all([signed for _, signed in brought])
        judged = {
            entry.entry: self._judged(entry, signed, each)
            for (entry, signed), each in zip(brought, verified, strict=True)
        }
        missing = Rejected("proof-missing", "The hub brings no proof of the receipt.")
        return [judged[entry.entry] if entry.entry in judged else self._refused(entry, missing) for entry in entries]

    def _judged(
        self, entry: ReceiptEntry, signed: SignedReceipt, verified: Verified[Receipt] | Rejected
    ) -> HeldReceipt | Rejected | Unavailable:
        try:
            if isinstance(verified, Rejected):
                raise verified
            require_witness(verified.value)
        except Rejected as error:
            if error.code in _TRUST_RULES:
                later = Unavailable(error.code, error.message)
                later.retry_after = _WHEN_RIGHT
                return later
            return self._refused(entry, error)
        return HeldReceipt(verified.value, signed)

    def _refused(self, entry: ReceiptEntry, error: Rejected) -> Rejected:
        log.error("receipt.refused", entry=entry.entry, rule=error.code, reason=error.message)
        return error


def _after_acceptance(
    transaction: Transaction, verified: Sequence[HeldReceipt | Rejected | Unavailable]
) -> list[HeldReceipt | Rejected | Unavailable]:
    """Put off what comes before the acceptance is noted that tells whom selectors stand for: who is it from?"""
    held = {each.receipt.message_id for each in verified if isinstance(each, HeldReceipt)}
    open_ones = selection.undecided(transaction, held)
    return [
        _not_yet() if isinstance(each, HeldReceipt) and each.receipt.message_id in open_ones else each
        for each in verified
    ]


def _not_yet() -> Unavailable:
    later = Unavailable("acceptance-awaited", "The hub's acceptance of the message is not noted yet.")
    later.retry_after = _SOON
    return later


def _unknown(transaction: Transaction, message_ids: Collection[Sha256Hex]) -> list[Sha256Hex]:
    return [message_id for message_id in message_ids if outbox.standing_of(transaction, message_id) is None]
