"""What hand-overs came to, entered into the record: state, receipt, and status 02 where the software refused.

A message that the adapter can never take, or whose bytes are lost, is receipted as a failure, too; if a person drives
it again and the software takes it, the hand-over is receipted then. What is attested as handed over stays so, whatever
is said of a repeat.

What several came to while the last commit was under way commits together, with one signature for an agency's receipts.
An outcome that cannot be recorded is kept and tried again, rather than handing the message over once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

import structlog

from adapters.sdk import Accepted, Later, Never, Refused
from node.settings_exchange import BackoffSettings
from node.store import business, handovers, outbox, reports
from node.store import receipts as receipt_store
from node.store.handovers import ReadyHandover
from node.store.metadata import Transaction
from node.store.outbox import OutboxEntry
from node.store.records import Trouble
from node.store.states import HandoverState
from node.usecases.backoff import wait_after
from node.usecases.handover import Attempt, Lost
from node.usecases.identity import NodeIdentity
from node.usecases.own_statuses import Occasion, own_status
from node.usecases.receipts import receipt_of, signed_together
from node.usecases.together import Together
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import Unavailable
from schemas.message import Document, StatusCode
from schemas.reasons import plain_reason
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt

log = structlog.get_logger()

#: The codes of what adapters answer, as receipts and lists name them.
_REFUSED: Final = "software-refused"
_NEVER: Final = "adapter-cannot"
_LOST: Final = "message-unknown"
_LATER: Final = "adapter-later"


@dataclass(frozen=True, slots=True)
class _Ended:
    """A hand-over that has ended, with what is made of that before the transaction."""

    receipt: Receipt
    signed: SignedReceipt
    status: OutboxEntry | None


class HandoverRecord:
    """Records attempts; what is recorded together costs one commit."""

    def __init__(
        self,
        database: Database,
        identity: NodeIdentity,
        wakeups: Wakeups,
        *,
        backoff: BackoffSettings,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._identity = identity
        self._wakeups = wakeups
        self._backoff = backoff
        self._clock = clock
        self._chance = chance
        self._together: Together[Attempt] = Together(self._record)

    async def record(self, attempt: Attempt) -> None:
        """Durable when this returns."""
        await self._together(attempt)

    async def _record(self, attempts: list[Attempt]) -> None:
        failures = 0
        while True:
            try:
                await self._enter_all(attempts)
                break
            except Unavailable as error:
                failures += 1
                log.error("handover.not-recorded", count=len(attempts), rule=error.code, reason=error.message)
                await asyncio.sleep(wait_after(failures, self._backoff, self._chance))
        for work in (Work.REPORTING, Work.SENDING, Work.HANDOVER):
            self._wakeups.wake(work)
        for attempt in attempts:
            _log(attempt)

    async def _enter_all(self, attempts: Sequence[Attempt]) -> None:
        now = self._clock()
        ended = await asyncio.to_thread(self._made, attempts, now)

        def enter(transaction: Transaction) -> None:
            for attempt in attempts:
                self._enter(transaction, attempt, ended, now)

        await self._database.write(enter)

    def _made(self, attempts: Sequence[Attempt], now: datetime) -> Mapping[ReadyHandover, _Ended]:
        """Receipts, signed together, and statuses, sealed, for the hand-overs that have ended."""
        ended = [attempt for attempt in attempts if isinstance(attempt.outcome, Accepted | Refused | Never | Lost)]
        receipts = [_receipt(attempt, now) for attempt in ended]
        signed = signed_together(receipts, self._identity, now)
        return {
            attempt.row: _Ended(receipt, proof, self._refusal_status(attempt, now))
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

    def _enter(
        self, transaction: Transaction, attempt: Attempt, ended: Mapping[ReadyHandover, _Ended], now: datetime
    ) -> None:
        row = attempt.row
        trouble: Trouble | None = None
        match attempt.outcome:
            case Later(reason, seconds):
                trouble = Trouble(code=_LATER, text=plain_reason(reason))
                longest = self._backoff.longest
                wait = min(seconds, longest) if seconds is not None else self._wait(row)
                due_at = now + timedelta(seconds=max(0.0, wait))
                handovers.put_off(transaction, row.message_id, row.code, trouble, at=now, due_at=due_at)
                return
            case Never(reason):
                state = HandoverState.PARKED
                trouble = Trouble(
                    code=_NEVER, text=plain_reason(reason), mend="Put right what it names, then drive it again."
                )
            case Lost(reason):
                state = HandoverState.PARKED
                trouble = Trouble(code=_LOST, text=reason, mend="Restore the node's record, then drive it again.")
            case Refused(reason):
                state, trouble = HandoverState.REFUSED, Trouble(code=_REFUSED, text=plain_reason(reason))
            case Accepted():
                state = HandoverState.HANDED_OVER
        if state is not HandoverState.HANDED_OVER and _was_handed_over(transaction, row):
            # This node was put back to a backup: its software had taken the message, and its sender was told so.
            handovers.finish(transaction, row.message_id, row.code, HandoverState.HANDED_OVER, trouble=None, at=now)
            log.error(
                "handover.not-repeated",
                message=row.message_id,
                recipient=str(row.code),
                reason=trouble.text if trouble else None,
            )
            return
        if handovers.finish(transaction, row.message_id, row.code, state, trouble=trouble, at=now):
            if state is HandoverState.HANDED_OVER:
                business.enter_handed_over(transaction, row.message_id, row.code)
            made = ended[row]
            numbers = receipt_store.add(transaction, [(made.receipt, made.signed)], at=now)
            reports.add_receipts(transaction, numbers, lane=attempt.described.lane)
            if made.status is not None:
                outbox.add(transaction, made.status)

    def _wait(self, row: ReadyHandover) -> float:
        return wait_after(row.attempts + 1, self._backoff, self._chance)


def _was_handed_over(transaction: Transaction, row: ReadyHandover) -> bool:
    issuer = Issuer(IssuerKind.AGENCY, row.code.value)
    event = ReceiptEvent.CONTENT_HANDOVER
    return receipt_store.number_of(transaction, row.message_id, event, issuer, row.code) is not None


def _receipt(attempt: Attempt, now: datetime) -> Receipt:
    # The envelope's own word where there is one; an agency's code may have changed since.
    sender = attempt.delivery.message.sender.organ_id if attempt.delivery else attempt.described.sender
    reason = _reason(attempt)
    return receipt_of(
        ReceiptEvent.CONTENT_HANDOVER_FAILURE if reason else ReceiptEvent.CONTENT_HANDOVER,
        issuer=attempt.row.code,
        message_id=attempt.row.message_id,
        sender=sender,
        document_id=attempt.described.document_id,
        at=now,
        reason=reason,
    )


def _reason(attempt: Attempt) -> Reason | None:
    """Why a hand-over has ended without the software having the message."""
    match attempt.outcome:
        case Refused(reason):
            return Reason(_REFUSED, plain_reason(reason))
        case Never(reason):
            return Reason(_NEVER, plain_reason(reason))
        case Lost(reason):
            return Reason(_LOST, reason)
        case _:
            return None


def _log(attempt: Attempt) -> None:
    where = {"message": attempt.row.message_id, "recipient": str(attempt.row.code)}
    match attempt.outcome:
        case Accepted():
            log.info("message.handed-over", **where)
        case Later(reason) | Refused(reason) | Never(reason) | Lost(reason):
            event = {Later: "put-off", Refused: "refused-by-software", Never: "parked", Lost: "parked"}[
                type(attempt.outcome)
            ]
            log.warning(f"handover.{event}", **where, reason=plain_reason(reason))
