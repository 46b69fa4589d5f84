"""Sending: one message of ours, from the outbox to the hub's acknowledgement.

Nothing is noted that the hub has not answered, and whatever it answered it answers again; so a node that dies at any
step begins this anew after its restart, and uploads go on where they stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from typing import Final, TypeAlias

import structlog

from certs.verified import Verified
from node.settings_exchange import SenderSettings
from node.store import directory as directory_store
from node.store import messages as message_store
from node.store import outbox, selection, sending_queue, standing
from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.sending_queue import ReadyMessage
from node.store.states import Direction
from node.store.troubles import trouble_of
from node.usecases.attachments import SMALL, Attachments
from node.usecases.backoff import wait_after
from node.usecases.directory import DirectoryCopy
from node.usecases.hub_watch import is_the_hubs
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.message_log import MessageLog
from node.usecases.receipts import ReceiptVerifier
from node.usecases.selection import follow_acceptance
from node.usecases.shipping import Outgoing, Shipping
from node.usecases.transfers import Journey, Moving, Transfers
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.receipts import Receipt, ReceiptEvent, SignedReceipt
from transport.client import HubClient
from transport.wire import SubmissionAnswer, SubmissionState, UploadNeeded

log = structlog.get_logger()

#: How often a submission may stay incomplete, or an upload break off, without getting any further.
_TRIES: Final = 3

#: Refusals that tell of a step missed rather than of the message: the upload or submission has changed meanwhile.
_BEGIN_ANEW: Final = frozenset({"upload-unknown", "upload-offset", "submission-conflict"})


#: Refusals that can pass when the hub was restored: what the message speaks of, or the agency that it goes to, is still
#: to be brought again.
_WHEN_RESTORED: Final = frozenset({"about-unknown", "recipient-unknown"})


#: A verified receipt, and what proves it.
Attested: TypeAlias = tuple[Receipt, SignedReceipt]


@dataclass(frozen=True, slots=True)
class Brought:
    """The acknowledgement of a message that the hub of `epoch` has, verified."""

    signed: SignedReceipt
    receipt: Receipt
    epoch: str


class Sending:
    """Sends messages, one at a call; calls run side by side. `window` is how old a backup of the hub may be."""

    def __init__(
        self,
        database: Database,
        attachments: Attachments,
        hub: HubClient,
        verifier: ReceiptVerifier,
        directory: DirectoryCopy,
        *,
        wakeups: Wakeups,
        transfers: Transfers,
        settings: SenderSettings,
        window: timedelta,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._attachments = attachments
        self._hub = hub
        self._verifier = verifier
        self._directory = directory
        self._wakeups = wakeups
        self._transfers = transfers
        self._shipping = Shipping(database, hub, verifier, inline_bytes=settings.inline_bytes)
        self._settings = settings
        self._places = asyncio.Semaphore(settings.parallel)
        self._ordinary_places = asyncio.Semaphore(max(1, settings.parallel - settings.express_reserve))
        self._accepted = MessageLog(one="message.accepted", many="messages.accepted")
        self._window = window
        self._clock = clock
        self._chance = chance

    async def send(self, message: ReadyMessage) -> None:
        """Bring a message to the hub and note what became of it: accepted, refused, or put off until later.

        Raises Unavailable if the trouble is the hub's or our own standing there: then others wait as well.
        """
        try:
            brought = await self.bring(message)
        except CongvanError as error:
            await self._note_failure(message, error)
            return
        await self._database.write(lambda transaction: _accept(transaction, brought, self._clock))
        self._wakeups.wake(Work.EVENTS)
        self._accepted.tell(message.message_id, attempts=message.attempts + 1)

    async def bring(self, message: ReadyMessage) -> Brought:
        """Bring a message to the hub, with all that goes along. Raises whatever keeps it from being accepted."""
        shipment = await self._shipping.ship(message.message_id, message.lane)
        answer, verified = shipment.answer, shipment.verified
        if not isinstance(answer, SubmissionAnswer) or answer.state is SubmissionState.INCOMPLETE:
            async with self._place(message.lane):
                answer, verified = await self._submit(await self._shipping.outgoing(message.message_id)), None
        signed, receipt = await self._acknowledged(message.message_id, answer, verified)
        await self._reach(receipt)
        return Brought(signed, receipt, answer.epoch)

    @contextlib.asynccontextmanager
    async def _place(self, lane: int) -> AsyncIterator[None]:
        """Hold one of the places for messages that go by themselves; ordinary ones leave some to express ones.

        Which will, the queue mostly knows; but what a hub would not take with others is told here.
        """
        async with contextlib.AsyncExitStack() as places:
            if lane != EXPRESS_LANE:
                await places.enter_async_context(self._ordinary_places)
            await places.enter_async_context(self._places)
            yield

    async def _submit(self, outgoing: Outgoing) -> SubmissionAnswer:
        """Submit a message by itself, and upload what the hub lacks of it."""
        message_id = outgoing.message_id
        answer = await self._hub.submit(outgoing.sealed, outgoing.short)
        before: tuple[UploadNeeded, ...] = ()
        stalled = 0
        while answer.state is SubmissionState.INCOMPLETE:
            stalled = stalled + 1 if answer.uploads == before else 0
            if stalled == _TRIES:
                raise Unavailable(
                    "hub-answer", f"The hub keeps asking for attachments of {message_id} that it was sent."
                )
            before = answer.uploads
            for needed in answer.uploads:
                if outgoing.attachments.get(needed.digest) != needed.size:
                    raise Unavailable("hub-answer", f"The hub asks for an attachment that {message_id} does not name.")
                await self._upload(message_id, needed)
            # The short ones came with the first request; if the hub did not keep them, it asks for them as well.
            answer = await self._hub.submit(outgoing.sealed, {})
        return answer

    async def _upload(self, message_id: Sha256Hex, needed: UploadNeeded) -> None:
        journey = Journey(Direction.UPLOAD, needed.size, needed.offset, message_id, needed.digest)
        async with self._transfers.under_way(journey) as moving:
            await self._complete(needed, moving)

    async def _complete(self, needed: UploadNeeded, moving: Moving) -> None:
        """Send what the hub lacks of an attachment, going on from there when the transfer breaks off."""
        offset, failures = needed.offset, 0
        while offset < needed.size:
            try:
                async with self._attachments.open(needed.digest, start=offset) as chunks:
                    left = needed.size - offset
                    counted = moving.counted(chunks, start=offset)
                    reached = await self._hub.upload(needed.location, offset, counted, length=left)
            except Unavailable as error:
                if error.code != "hub-unreachable":
                    raise
                reached = await self._hub.upload_offset(needed.location)
                if reached <= offset and failures + 1 == _TRIES:
                    raise
            failures = 0 if reached > offset else failures + 1
            if failures == _TRIES:
                raise Unavailable("hub-answer", f"The hub takes no byte of the attachment {needed.digest}.")
            offset = reached

    async def _acknowledged(
        self, message_id: Sha256Hex, answer: SubmissionAnswer, verified: Verified[Receipt] | Rejected | None
    ) -> tuple[SignedReceipt, Receipt]:
        """The acknowledgement, if it proves that the hub accepted this very message; `verified` if that was done."""
        if answer.acknowledgement is None:
            raise Unavailable("hub-answer", f"The hub says that it accepted {message_id}, and brings no receipt of it.")
        signed = SignedReceipt(answer.acknowledgement.receipt, answer.acknowledgement.proof)
        try:
            if verified is None:
                verified = await self._verifier.verify(signed)
            if isinstance(verified, Rejected):
                raise verified
            self._verifier.require_submission(verified.value, ReceiptEvent.SUBMISSION_ACCEPTANCE, message_id)
        except Rejected as error:
            # The hub is at fault, not the message: it waits until an acknowledgement comes that holds.
            log.error("acknowledgement.refused", message=message_id, rule=error.code, reason=error.message)
            raise Unavailable(
                "acknowledgement-refused",
                f"The hub's acknowledgement does not hold: {error.message}",
                mend="Tell the hub's operator; the message is sent again by itself.",
            ) from error
        return signed, verified.value

    async def _reach(self, accepted: Receipt) -> None:
        """See that the copy of the directory tells whom the hub resolved the message's selectors to."""
        if (accepted.directory_version or 0) <= self._directory.version:
            return
        if not await self._database.read(partial(selection.selectors_of, message_id=accepted.message_id)):
            return
        try:
            await self._directory.sync(self._hub)
        except Rejected as error:
            # Not the message is at fault: it waits, and its acceptance is told again.
            raise Unavailable("directory-behind", f"The directory cannot follow the hub's: {error.message}") from error

    async def _rejection(self, message_id: Sha256Hex, error: CongvanError) -> Attested | None:
        """The hub's signed word for its refusal, if it gave one that holds.

        Without it the refusal stands all the same: it takes nothing from this node that the hub could not refuse anew.
        """
        if not isinstance(error, Rejected) or error.receipt is None:
            return None
        try:
            verified = await self._verifier.verify_rejection(error.receipt, message_id)
        except Rejected as fault:
            log.error("rejection.unproven", message=message_id, rule=fault.code, reason=fault.message)
            return None
        return verified.value, error.receipt

    async def _note_failure(self, message: ReadyMessage, error: CongvanError) -> None:
        trouble = trouble_of(error)
        may_pass = isinstance(error, Unavailable) or is_the_hubs(error) or error.code in _BEGIN_ANEW
        if not (may_pass or (error.code in _WHEN_RESTORED and await self._was_restored())):
            rejection = await self._rejection(message.message_id, error)
            await self._database.write(
                lambda transaction: _refuse(transaction, message.message_id, trouble, rejection, self._clock)
            )
            self._wakeups.wake(Work.EVENTS)
            log.warning("message.refused", message=message.message_id, rule=error.code, reason=error.message)
            return
        asked = error.retry_after if isinstance(error, Unavailable) else None
        wait = wait_after(message.attempts + 1, self._settings.backoff, self._chance, asked=asked)
        now = self._clock()
        due_at = now + timedelta(seconds=wait)
        await self._database.write(
            lambda transaction: sending_queue.put_off(transaction, message.message_id, trouble, at=now, due_at=due_at)
        )
        log.warning("message.put-off", message=message.message_id, rule=error.code, seconds=round(wait, 1))
        if is_the_hubs(error) and not await self._concerns_one(message, error):
            raise Unavailable(error.code, error.message, mend=error.mend) from error

    async def _concerns_one(self, message: ReadyMessage, error: CongvanError) -> bool:
        """Whether the hub lacks room for this message's attachments alone: then no other has to wait for it."""
        if error.code != "storage-full":
            return False
        brings = partial(message_store.attachments_of, message_id=message.message_id)
        return any(row.size > SMALL for row in await self._database.read(brings))

    async def _was_restored(self) -> bool:
        """Whether the hub was restored so lately that others may not have brought again what they had sent.

        It may have been just now, and the mailbox has not told yet: so the hub is asked for its epoch.
        """
        known = await self._database.read(standing.of_hub)
        if known.restored_at is not None and self._clock() - known.restored_at < self._window:
            return True
        here = await self._database.read(directory_store.head)
        try:
            answer = await self._hub.directory(since=here.number if here else 0)
        except CongvanError:
            # Whoever does not answer now may answer differently later: no refusal is for good on that.
            return True
        return known.epoch is not None and answer.epoch not in (None, known.epoch)


def _accept(transaction: Transaction, brought: Brought, clock: Clock) -> None:
    now, receipt = clock(), brought.receipt
    follow_acceptance(transaction, receipt, at=now)
    if outbox.accept(transaction, receipt.message_id, accepted_at=receipt.occurred_at, epoch=brought.epoch, at=now):
        receipt_store.add(transaction, [(receipt, brought.signed)], at=now)


def _refuse(
    transaction: Transaction, message_id: Sha256Hex, trouble: Trouble, rejection: Attested | None, clock: Clock
) -> None:
    now = clock()
    outbox.refuse(transaction, message_id, trouble, at=now)
    if rejection is not None:
        receipt_store.add(transaction, [rejection], at=now)
