"""Consigning: messages that have arrived whole enter the record, with all that follows from it, in one transaction.

What commits together: the message and its bytes, the hub's acceptance, a hand-over for each agency, a receipt for each
(one signature for all of an agency), status 01 to the document's sender, and what the hub is to be told. Nothing of it
leaves before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from node.store import inbox, outbox, recipients, reports, requests, standing
from node.store import messages as message_store
from node.store import receipts as receipt_store
from node.store.inbox import ReceivedMessage
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.outbox import OutboxEntry
from node.usecases.addressing import codes_of
from node.usecases.identity import NodeIdentity
from node.usecases.judging import Arrived
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.messages_read import MessagesRead, ReadMessage
from node.usecases.own_statuses import Occasion, own_status
from node.usecases.receipts import receipt_of, signed_together
from node.usecases.work import Work, wake_reporter
from runtime.blobs import BlobStore, require_timely
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import Document, StatusCode, StatusMessage
from schemas.receipts import Issuer, IssuerKind, Receipt, ReceiptEvent, SignedReceipt
from transport.wire import OutcomeKind

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that has arrived: `short` are attachments whose bytes commit with it, `long` those that are files."""

    message: Arrived
    short: Mapping[Sha256Hex, bytes]
    long: Collection[Sha256Hex]


@dataclass(frozen=True, slots=True)
class _Consigned:
    """What is made, before the transaction, for an agency that has not had the message yet."""

    receipt: Receipt
    signed: SignedReceipt
    status: OutboxEntry | None


@dataclass(frozen=True, slots=True)
class _Entered:
    """A message that is on record now, `added` for these agencies, with receipts that are still to be kept."""

    message: Arrived
    received: ReceivedMessage
    is_first: bool
    before: Sequence[tuple[Receipt, SignedReceipt]]
    fresh: Sequence[_Consigned]
    added: Collection[AgencyCode]

    @property
    def receipts(self) -> list[tuple[Receipt, SignedReceipt]]:
        return [*self.before, *((each.receipt, each.signed) for each in self.fresh)]


class Consigning:
    """Takes arrivals into the record.

    `hold` is how long a message waits here for the one that it speaks of; `arrival_status`: whether a document's sender
    gets status 01.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        identity: NodeIdentity,
        read: MessagesRead,
        wakeups: Wakeups,
        *,
        clock: Clock,
        hold: timedelta,
        arrival_status: bool = True,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._identity = identity
        self._read = read
        self._wakeups = wakeups
        self._clock = clock
        self._hold = hold
        self._sends_status = arrival_status

    async def consign(self, arrivals: Sequence[Arrival]) -> None:
        """Durable when this returns; a message that had come before is answered with the receipt that it has.

        Raises Unavailable (`storage-full`, `blob-missing`): then nothing of any of them is in the record.
        """
        now = self._clock()
        for digest in dict.fromkeys(digest for arrival in arrivals for digest in arrival.long):
            await self._blobs.touch(digest)
        made = await asyncio.to_thread(self._made, arrivals, now)

        def enter(transaction: Transaction) -> list[_Entered]:
            # A sweep may take for leavings what was touched too long ago.
            require_timely(now, self._clock())
            standing.raise_mark(transaction)
            entered = [self._enter(transaction, arrival, made, now) for arrival in arrivals]
            # Together: what most of them share, the proofs, is looked at once.
            kept = receipt_store.add(transaction, [receipt for each in entered for receipt in each.receipts], at=now)
            numbers = iter(kept)
            for each in entered:
                _report(transaction, each, [next(numbers) for _ in each.receipts])
            return entered

        is_express = all(arrival.message.lane == EXPRESS_LANE for arrival in arrivals)
        for each in await self._database.write(enter, urgent=is_express):
            # Of what had come before the record knows more.
            if each.is_first:
                message = ReadMessage(each.message.envelope.value, *inbox.kept_of(each.received))
                self._read.note(each.message.message_id, message)
        # The agency's software first: it waits for the document, nobody for the rest. In one turn of the event loop
        # the queue is looked at, in the next its worker calls the software, and then the others have theirs.
        self._wakeups.wake(Work.HANDOVER)
        for _ in range(2):
            await asyncio.sleep(0)
        for work in (Work.HOLDS, Work.EVENTS):
            self._wakeups.wake(work)
        wake_reporter(self._wakeups, is_express=is_express)
        if any(each.status for each in made.values()):
            self._wakeups.wake(Work.SENDING)
        came = [arrival.message for arrival in arrivals]
        _log_all([each for each in came if each.new], one="message.arrived", many="messages.arrived")
        _log_all([each for each in came if not each.new], one="message.repeated", many="messages.repeated")

    def _made(self, arrivals: Sequence[Arrival], now: datetime) -> dict[tuple[Sha256Hex, AgencyCode], _Consigned]:
        """Receipts and statuses for every agency that has not had its message yet, signed and sealed."""
        fresh = [(arrival.message, code) for arrival in arrivals for code in arrival.message.new]
        receipts = [_receipt(message, code, now) for message, code in fresh]
        signed = signed_together(receipts, self._identity, now)
        return {
            (message.message_id, code): _Consigned(receipt, proof, self._arrival_status(message, code, now))
            for (message, code), receipt, proof in zip(fresh, receipts, signed, strict=True)
        }

    def _arrival_status(self, message: Arrived, code: AgencyCode, now: datetime) -> OutboxEntry | None:
        document = message.envelope.value.message
        if not isinstance(document, Document) or not self._sends_status:
            return None
        occasion = Occasion(
            message_id=message.message_id,
            document=document,
            sender=message.sender.code,
            receiver=code,
            receiver_name=message.codes[code].name,
            lane=message.lane,
        )
        return own_status(occasion, StatusCode.ARRIVED, self._identity, at=now)

    def _enter(
        self,
        transaction: Transaction,
        arrival: Arrival,
        made: Mapping[tuple[Sha256Hex, AgencyCode], _Consigned],
        now: datetime,
    ) -> _Entered:
        message = arrival.message
        received = ReceivedMessage(
            message=RecordedMessage(
                message_id=message.message_id,
                envelope=message.envelope.value,
                data=message.envelope.data,
                sender=message.sender.code,
                lane=message.lane,
            ),
            codes=message.new,
            signer=message.signer,
            signer_fingerprint=message.envelope.signer_fingerprint,
            signed_at=message.envelope.signed_at,
            accepted_at=message.acceptance.receipt.occurred_at,
            received_at=now,
        )
        added = inbox.add(transaction, received, hold_until=now + self._hold)
        message_store.add_small_blobs(transaction, arrival.short)
        fresh = [made[message.message_id, code] for code in added.codes]
        for each in fresh:
            if each.status is not None:
                outbox.add(transaction, each.status)
        if added.codes and isinstance(message.envelope.value.message, StatusMessage):
            _note_status(transaction, message, message.envelope.value.message, now)
        # What was attested before this node was put back to a backup comes first, and so answers for its event. Then
        # the hub's word for the message, which every later look at it rests on.
        before = [*((held.receipt, held.signed) for held in message.attested)]
        before.append((message.acceptance.receipt, message.acceptance.signed))
        return _Entered(message, received, added.is_first, before, fresh, added.codes)


def _log_all(messages: Sequence[Arrived], *, one: str, many: str) -> None:
    """One line for all: a line costs as much as a dozen statements."""
    if not messages:
        return
    recipients = sorted({str(code) for message in messages for code in message.codes})
    if len(messages) == 1:
        (message,) = messages
        log.info(one, message=message.message_id, sender=str(message.sender.code), recipients=recipients)
    else:
        log.info(
            many,
            messages=[message.message_id for message in messages],
            count=len(messages),
            recipients=recipients,
        )


def _report(transaction: Transaction, entered: _Entered, numbers: list[int]) -> None:
    """Queue what the hub is to be told of a message on record, whose receipts are kept under `numbers`."""
    message = entered.message
    repeated = [code for code in message.codes if code not in entered.added]
    answered = numbers[len(entered.before) :] + [_number(transaction, message.message_id, code) for code in repeated]
    entry, lane = message.entry, message.lane
    reports.add_outcome(transaction, entry.entry, entry.lease, OutcomeKind.CONSIGNED, lane=lane, receipts=answered)
    # A hub that offers it again may have been restored: then it lacks what was attested of it later, too.
    attested = receipt_store.handed_over(transaction, message.message_id, repeated)
    reports.add_receipts(transaction, attested, lane=lane)


def _receipt(message: Arrived, code: AgencyCode, now: datetime) -> Receipt:
    return receipt_of(
        ReceiptEvent.CONTENT_CONSIGNMENT,
        issuer=code,
        message_id=message.message_id,
        sender=message.acceptance.receipt.sender,
        document_id=message.acceptance.receipt.document_id,
        at=now,
    )


def _number(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> int:
    """Where the receipt is kept that answers the hub for an earlier arrival."""
    number = receipt_store.number_of(
        transaction, message_id, ReceiptEvent.CONTENT_CONSIGNMENT, Issuer(IssuerKind.AGENCY, code.value), code
    )
    if number is None:
        raise LookupError(f"the message {message_id} is here for {code} without its receipt")
    return number


def _note_status(transaction: Transaction, message: Arrived, status: StatusMessage, now: datetime) -> None:
    """What a recipient says of a message of ours stands with that recipient in the outbox."""
    for message_id in message.envelope.value.extension.about:
        recipient = recipients.recipient_among(transaction, message_id, codes_of(message.sender))
        if recipient is not None:
            at = status.timestamp.instant or now
            recipients.note_status(
                transaction, message_id, recipient, status.status_code, text=status.description, at=at
            )
            requests.answer(
                transaction,
                message_id,
                recipient,
                status.status_code,
                answer=message.message_id,
                reason=status.description,
                at=at,
            )
