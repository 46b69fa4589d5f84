"""The end of a hand-over: state, receipt, and status 02 where the software refused, entered in one transaction.

A message that the adapter can never take, or whose bytes are lost, is receipted as a failure, too; if a person drives
it again and the software takes it, the hand-over is receipted then. What is attested as handed over stays so, whatever
is said of a repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from adapters.sdk import Accepted, Awaiting, Later, Never, Refused
from node.store import business, handovers, outbox, reports
from node.store import receipts as receipt_store
from node.store.handovers import ReadyHandover
from node.store.metadata import Transaction
from node.store.outbox import OutboxEntry
from node.store.records import Trouble
from node.store.states import HandoverState
from node.usecases.handover import Attempt, Lost
from node.usecases.identity import NodeIdentity
from node.usecases.own_statuses import Occasion, own_status
from node.usecases.receipts import receipt_of, signed_together
from schemas.message import Document, StatusCode
from schemas.reasons import plain_reason
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt

log = structlog.get_logger()

#: The codes of what adapters answer, as receipts and lists name them.
_REFUSED: Final = "software-refused"
_NEVER: Final = "adapter-cannot"
_LOST: Final = "message-unknown"


@dataclass(frozen=True, slots=True)
class Ended:
    """A hand-over that has ended, with what is made of that before the transaction."""

    receipt: Receipt
    signed: SignedReceipt
    status: OutboxEntry | None


class Endings:
    """Makes and enters what follows from the ends of hand-overs. What is made together shares one signature."""

    def __init__(self, identity: NodeIdentity) -> None:
        self._identity = identity

    def made(self, attempts: Sequence[Attempt], now: datetime) -> Mapping[ReadyHandover, Ended]:
        """Receipts, signed together, and statuses, sealed, for those that have ended. Work for a thread."""
        ended = [attempt for attempt in attempts if isinstance(attempt.outcome, Accepted | Refused | Never | Lost)]
        receipts = [_receipt(attempt, now) for attempt in ended]
        signed = signed_together(receipts, self._identity, now)
        return {
            attempt.row: Ended(receipt, proof, self._refusal_status(attempt, now))
            for attempt, receipt, proof in zip(ended, receipts, signed, strict=True)
        }

    def _refusal_status(self, attempt: Attempt, now: datetime) -> OutboxEntry | None:
        document = attempt.delivery.message if attempt.delivery else None
        if not isinstance(attempt.outcome, Refused) or not isinstance(document, Document):
            return None
        occasion = Occasion(
            message_id=attempt.row.message_id,
            document=document,
            sender=attempt.described.sender,
            receiver=attempt.row.code,
            receiver_name=None,
            lane=attempt.described.lane,
        )
        reason = plain_reason(attempt.outcome.reason)
        return own_status(occasion, StatusCode.REFUSED, self._identity, at=now, description=reason)

    def enter(
        self,
        transaction: Transaction,
        attempts: Sequence[Attempt],
        made: Mapping[ReadyHandover, Ended],
        now: datetime,
    ) -> None:
        """Enter the ends of hand-overs; nothing, of one that had ended before."""
        ended = [(attempt, made[attempt.row]) for attempt in attempts if _is_ended_now(transaction, attempt, now)]
        # Together: what they share, the proof, is stored once.
        numbers = receipt_store.add(transaction, [(end.receipt, end.signed) for _, end in ended], at=now)
        for (attempt, end), number in zip(ended, numbers, strict=True):
            reports.add_receipts(transaction, [number], lane=attempt.described.lane)
            if end.status is not None:
                outbox.add(transaction, end.status)


def _is_ended_now(transaction: Transaction, attempt: Attempt, now: datetime) -> bool:
    """Enter the state that a hand-over has come to; whether that is its end, which is still to be receipted."""
    row = attempt.row
    state, trouble = _end(attempt)
    if state is not HandoverState.HANDED_OVER and _was_handed_over(transaction, row):
        # This node was put back to a backup: its software had taken the message, and its sender was told so.
        handovers.finish(transaction, row.message_id, row.code, HandoverState.HANDED_OVER, trouble=None, at=now)
        log.error(
            "handover.not-repeated",
            message=row.message_id,
            recipient=str(row.code),
            reason=trouble.text if trouble else None,
        )
        return False
    verdicts = attempt.verdicts
    if not handovers.finish(transaction, row.message_id, row.code, state, trouble=trouble, at=now, verdicts=verdicts):
        return False
    if state is HandoverState.HANDED_OVER:
        business.enter_handed_over(transaction, row.message_id, row.code)
    return True


def _end(attempt: Attempt) -> tuple[HandoverState, Trouble | None]:
    match attempt.outcome:
        case Never(reason):
            mend = "Put right what it names, then drive it again."
            return HandoverState.PARKED, Trouble(code=_NEVER, text=plain_reason(reason), mend=mend)
        case Lost(reason):
            mend = "Restore the node's record, then drive it again."
            return HandoverState.PARKED, Trouble(code=_LOST, text=reason, mend=mend)
        case Refused(reason):
            return HandoverState.REFUSED, Trouble(code=attempt.guard_rule or _REFUSED, text=plain_reason(reason))
        case _:
            return HandoverState.HANDED_OVER, None


def _was_handed_over(transaction: Transaction, row: ReadyHandover) -> bool:
    issuer = Issuer(IssuerKind.AGENCY, row.code.value)
    event = ReceiptEvent.CONTENT_HANDOVER
    return receipt_store.number_of(transaction, row.message_id, event, issuer, row.code) is not None


def _receipt(attempt: Attempt, now: datetime) -> Receipt:
    # The envelope's own word where there is one; an agency's code may have changed since.
    sender = attempt.delivery.message.sender.organ_id if attempt.delivery else attempt.described.sender
    _, trouble = _end(attempt)
    return receipt_of(
        ReceiptEvent.CONTENT_HANDOVER_FAILURE if trouble else ReceiptEvent.CONTENT_HANDOVER,
        issuer=attempt.row.code,
        message_id=attempt.row.message_id,
        sender=sender,
        document_id=attempt.described.document_id,
        at=now,
        reason=Reason(trouble.code, trouble.text) if trouble else None,
    )


def log_attempts(attempts: Sequence[Attempt]) -> None:
    """Tell the log what hand-overs came to: one line for all that the software took, one for each of the others."""
    taken = [attempt for attempt in attempts if isinstance(attempt.outcome, Accepted)]
    if len(taken) > 1:
        log.info(
            "messages.handed-over",
            messages=[attempt.row.message_id for attempt in taken],
            count=len(taken),
            recipients=sorted({str(attempt.row.code) for attempt in taken}),
        )
    for attempt in attempts:
        if len(taken) <= 1 or not isinstance(attempt.outcome, Accepted):
            _log_attempt(attempt)


def _log_attempt(attempt: Attempt) -> None:
    where = {"message": attempt.row.message_id, "recipient": str(attempt.row.code)}
    match attempt.outcome:
        case Accepted():
            log.info("message.handed-over", **where)
        case Awaiting():
            log.info("message.awaiting", **where, adapter=attempt.adapter)
        case Later(reason) | Refused(reason) | Never(reason) | Lost(reason):
            refused = "refused-by-guard" if attempt.guard_rule else "refused-by-software"
            event = {Later: "put-off", Refused: refused, Never: "parked", Lost: "parked"}[type(attempt.outcome)]
            log.warning(f"handover.{event}", **where, reason=plain_reason(reason))
