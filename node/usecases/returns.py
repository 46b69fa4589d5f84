"""Returns: entries of the mailbox that go back to the hub, refused for good or released for later.

They are told at once and not queued. If that fails nothing is lost: the leases lapse, and all is judged anew. What is
refused leaves its receipts in the record, and a repeat is answered with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import structlog

from node.store import refusals
from node.store.refusals import RefusalReceipt
from node.usecases.identity import NodeIdentity
from node.usecases.judging import RefusedArrival
from node.usecases.receipts import receipt_of, signed_together
from node.usecases.reporting import request_of
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import CongvanError, Unavailable
from schemas.reasons import plain_reason
from schemas.receipts import Reason, ReceiptEvent, SignedReceipt
from transport.client import HubClient
from transport.wire import EnvelopeEntry, Outcome, OutcomeKind, ReceiptEntry

log = structlog.get_logger()

#: An outcome to tell the hub, with its receipts.
Return: TypeAlias = tuple[Outcome, Sequence[SignedReceipt]]


class Returns:
    """Gives entries back."""

    def __init__(
        self, database: Database, hub: HubClient, identity: NodeIdentity, wakeups: Wakeups, clock: Clock
    ) -> None:
        self._database = database
        self._hub = hub
        self._wakeups = wakeups
        self._identity = identity
        self._clock = clock

    async def refused(self, refused: RefusedArrival) -> Return:
        """A message that must not enter, with a signed failure of each agency that it came for; they are durable.

        Raises Unavailable (`storage-full`, `database-…`) if they cannot be kept now.
        """
        entry, acceptance = refused.entry, refused.acceptance.receipt
        reason = Reason(refused.reason.code, plain_reason(refused.reason.message))
        log.warning("message.refused-here", message=entry.message_id, rule=reason.code, reason=reason.text)
        now = self._clock()
        failures = [
            receipt_of(
                ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
                issuer=code,
                message_id=entry.message_id,
                sender=acceptance.sender,
                document_id=acceptance.document_id,
                at=now,
                reason=reason,
            )
            for code in refused.codes
        ]
        signed = await asyncio.to_thread(signed_together, failures, self._identity, now)
        made = [
            RefusalReceipt(failure, proof, refused.acceptance.signed)
            for failure, proof in zip(failures, signed, strict=True)
        ]
        kept = await self._database.write(lambda transaction: refusals.keep(transaction, made))
        outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.REFUSED, reason=reason.text)
        return outcome, kept

    async def tell(self, returns: Sequence[Return]) -> None:
        if not returns:
            return
        try:
            await self._hub.report(request_of(returns))
        except CongvanError as error:
            log.warning("returns.not-told", count=len(returns), rule=error.code, reason=error.message)
            return
        if any(outcome.outcome is OutcomeKind.REFUSED for outcome, _ in returns):
            # What waits for a message that was refused need not wait any longer.
            self._wakeups.wake(Work.HOLDS)


def released(
    entry: EnvelopeEntry | ReceiptEntry, why: Unavailable, *, seconds: float | None = None, lease: str | None = None
) -> Return:
    """An entry to be offered again, after the wait that `why` asks for; if it asks for none, after `seconds`."""
    outcome = Outcome(
        entry=entry.entry,
        lease=lease or entry.lease,
        outcome=OutcomeKind.RELEASED,
        retry_after=seconds if why.retry_after is None else why.retry_after,
        reason=plain_reason(f"{why.code}: {why.message}"),
    )
    return outcome, ()
