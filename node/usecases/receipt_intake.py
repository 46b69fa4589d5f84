"""Receipts that come back about our messages: verified, kept, and told to the outbox."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from certs.receipts import require_witness
from certs.verified import Verified
from node.store import outbox, reports, selection, standing
from node.store.metadata import Transaction
from node.store.states import OutboxState
from node.usecases.lanes import LANES
from node.usecases.own_messages import OwnMessages
from node.usecases.receipt_keeping import HeldReceipt, keep_receipts
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
        keep = partial(self._keep, entries=entries, verified=verified)
        later, unknown = await self._database.write(partial(keep, with_unknown=False))
        if unknown:
            # What the record lacks is fetched back first: whoever gets receipts has sent something.
            for message_id in unknown:
                await self._own.recover(message_id, epoch=epoch)
            later, _ = await self._database.write(partial(keep, with_unknown=True))
        if len(later) < len(entries):
            self._wakeups.wake(Work.REPORTING)
            self._wakeups.wake(Work.EVENTS)
        return later

    def _keep(
        self,
        transaction: Transaction,
        entries: Sequence[ReceiptEntry],
        verified: Sequence[HeldReceipt | Rejected | Unavailable],
        *,
        with_unknown: bool,
    ) -> tuple[tuple[tuple[ReceiptEntry, Unavailable], ...], Collection[Sha256Hex]]:
        """Keep what holds; gives the entries of which that cannot be said yet, and the messages that are not on record.

        If there are such messages, nothing is written unless `with_unknown`.
        """
        unknown, undecided = _unknown_and_undecided(transaction, {each.receipt.message_id for each in _held(verified)})
        if unknown and not with_unknown:
            return (), unknown
        settled = [
            (entry, _not_yet() if isinstance(each, HeldReceipt) and each.receipt.message_id in undecided else each)
            for entry, each in zip(entries, verified, strict=True)
        ]
        later = tuple((entry, held) for entry, held in settled if isinstance(held, Unavailable))
        if len(later) < len(settled):
            standing.raise_mark(transaction)
            keep_receipts(transaction, _held(each for _, each in settled), at=self._clock())
        for entry, held in settled:
            if not isinstance(held, Unavailable):
                # Nobody waits for it but the mailbox.
                reports.add_outcome(
                    transaction, entry.entry, entry.lease, OutcomeKind.RECEIVED, lane=LANES - 1, receipts=()
                )
        return later, unknown

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


def _held(judged: Iterable[HeldReceipt | Rejected | Unavailable]) -> list[HeldReceipt]:
    return [each for each in judged if isinstance(each, HeldReceipt)]


def _not_yet() -> Unavailable:
    later = Unavailable("acceptance-awaited", "The hub's acceptance of the message is not noted yet.")
    later.retry_after = _SOON
    return later


def _unknown_and_undecided(
    transaction: Transaction, message_ids: Collection[Sha256Hex]
) -> tuple[list[Sha256Hex], Collection[Sha256Hex]]:
    """Messages that are not on record; and those of which the acceptance is not noted yet that tells whom selectors
    stand for: who is a receipt of theirs from?"""
    known = outbox.standings_of(transaction, message_ids)
    waiting = [name for name, own in known.items() if own.state is not OutboxState.ACCEPTED]
    # Seldom does a receipt overtake the acceptance.
    undecided = selection.undecided(transaction, waiting) if waiting else ()
    return [name for name in message_ids if name not in known], undecided
