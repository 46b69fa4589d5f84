"""Handing over: a received message goes to the agency's software, by the adapter that serves the agency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from adapters.sdk import Delivery, DeliveryKey, IncomingAttachment, Later, MessageKind, Never, Outcome
from node.store import holds, inbox
from node.store.handovers import ReadyHandover
from node.store.inbox import DescribedMessage, StoredMessage
from node.store.metadata import Transaction
from node.store.verdicts import GuardVerdict
from node.usecases.adapter_calls import AdapterCalls, Connected
from node.usecases.guarding import Guards, outcome_of
from node.usecases.messages_read import MessagesRead
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import Rejected
from schemas.limits import MIB
from schemas.message import Document
from schemas.travel import parse_envelope, read_envelope


@dataclass(frozen=True, slots=True)
class Addressed:
    """What decides which adapter a message goes to: for whom, from whom, of what kind and type (a document's name).

    What is None is not known yet: then only tables count that do not ask for it.
    """

    code: AgencyCode
    sender: AgencyCode | None = None
    kind: MessageKind | None = None
    document_type: str | None = None


#: The adapter that hands a message over; None if none is set up for it.
AdapterRoute: TypeAlias = Callable[[Addressed], Connected | None]


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing could be handed over: the record has no bytes of the message. A person must bring them back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a hand-over, and what the software said to it.

    `delivery` is None where the bytes of the message are `Lost`; `adapter` is the name of the one that was called, if
    one was. `timed_out`: the software said nothing in time. `verdicts` are the guards', who are asked first.
    """

    row: ReadyHandover
    described: DescribedMessage
    delivery: Delivery | None
    outcome: Outcome | Lost
    adapter: str = ""
    timed_out: bool = False
    verdicts: tuple[GuardVerdict, ...] = ()

    @property
    def guard_rule(self) -> str | None:
        """The rule of the guard that stopped the message: the software was not asked."""
        return self.verdicts[-1].code if self.verdicts else None


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that is to be handed over; `delivery` is None where its bytes are lost."""

    described: DescribedMessage
    delivery: Delivery | None


#: Bytes of attachments for which an adapter has one second more: it copies them, and may pack them as well.
_BYTES_A_SECOND: Final = 2 * MIB
#: How many bytes of envelopes are read together, beside one that is longer by itself.
_READ_TOGETHER: Final = 1 * MIB

#: So many messages are read from the record in passing.
_FEW: Final = 4

#: What the record says of a message, what it keeps of it, and which of those that it speaks of never came.
_Recorded: TypeAlias = tuple[DescribedMessage, StoredMessage | None, tuple[Sha256Hex, ...]]


class HandingOver:
    """Calls adapters, once the guards let a message pass.

    `timeout` is how many seconds one may take over a message, beside its attachments.
    """

    def __init__(
        self,
        database: Database,
        messages: MessagesRead,
        route: AdapterRoute,
        guards: Guards,
        calls: AdapterCalls,
        *,
        timeout: float,
    ) -> None:
        self._database = database
        self._messages = messages
        self._route = route
        self._guards = guards
        self._calls = calls
        self._timeout = timeout

    async def read(self, rows: Sequence[ReadyHandover]) -> Mapping[ReadyHandover, Opened]:
        """The messages of `rows`, or of the first of them, if all together have too many bytes.

        Raises Unavailable if the record cannot be read, and Rejected `message-unknown` if it knows no such message.
        """
        if (remembered := self._remembered(rows)) is not None:
            return self._opened(remembered)
        ask = self._database.glance if len(rows) <= _FEW else self._database.read
        found = await ask(partial(_recorded_together, rows=rows))
        if all(self._messages.of(row.message_id) for row in found):
            return self._opened(found)
        return await asyncio.to_thread(self._opened, found)

    def _remembered(self, rows: Sequence[ReadyHandover]) -> Mapping[ReadyHandover, _Recorded] | None:
        """What the record would give; None if it has to be asked of any of `rows`."""
        found: dict[ReadyHandover, _Recorded] = {}
        for row in rows:
            message = self._messages.of(row.message_id)
            # Whether what it speaks of has come may have changed since.
            if message is None or message.stored.about:
                return None
            found[row] = (message.described, message.stored, ())
        return found

    def _opened(self, found: Mapping[ReadyHandover, _Recorded]) -> dict[ReadyHandover, Opened]:
        """Work for a thread, where envelopes are to be read again."""
        opened: dict[ReadyHandover, Opened] = {}
        for row, (described, stored, missing) in found.items():
            message = self._messages.of(row.message_id)
            known = message.envelope if message else None
            delivery = None if stored is None else delivery_of(stored, missing, row, known=known)
            opened[row] = Opened(described, delivery)
        return opened

    async def attempt(self, row: ReadyHandover, opened: Opened) -> Attempt:
        """Hand a message over once. What an adapter raises, or takes too long for, is for later."""
        described, delivery = opened.described, opened.delivery
        if delivery is None:
            lost = Lost(f"The bytes of the message {row.message_id} are no longer here.")
            return Attempt(row, described, None, lost)
        connected = self._route(_addressed(row, described, delivery))
        if connected is None:
            return Attempt(row, described, delivery, Later(f"No adapter is set up for {row.code}."))
        delivery, judged = await self._guards.incoming(delivery)
        if judged.stopped is not None:
            return Attempt(row, described, delivery, outcome_of(judged.stopped), verdicts=judged.verdicts)
        patience = self._timeout + sum(attachment.size for attachment in delivery.attachments) / _BYTES_A_SECOND
        name = connected.name
        outcome, timed_out = await self._calls.deliver(connected, delivery, patience=patience)
        for other in connected.beside if isinstance(outcome, Never) else ():
            taken = await self._calls.deliver(other, delivery, patience=patience)
            if not isinstance(taken[0], Never):
                name, (outcome, timed_out) = other.name, taken
                break
        return Attempt(row, described, delivery, outcome, name, timed_out=timed_out, verdicts=judged.verdicts)


def _addressed(row: ReadyHandover, described: DescribedMessage, delivery: Delivery) -> Addressed:
    message = delivery.message
    if isinstance(message, Document):
        return Addressed(row.code, described.sender, MessageKind.DOCUMENT, message.document_type.type_name)
    return Addressed(row.code, described.sender, MessageKind.STATUS)


def _recorded_together(transaction: Transaction, rows: Sequence[ReadyHandover]) -> dict[ReadyHandover, _Recorded]:
    found: dict[ReadyHandover, _Recorded] = {}
    total = 0
    for row in rows:
        found[row] = (_, stored, _) = recorded(transaction, row)
        total += len(stored.sealed) if stored else 0
        if total > _READ_TOGETHER:
            break
    return found


def recorded(transaction: Transaction, row: ReadyHandover) -> _Recorded:
    """The message, and which of those that it speaks of never came for this agency."""
    described = inbox.described(transaction, row.message_id)
    if described is None:
        raise Rejected("message-unknown", f"The record knows no message {row.message_id}.")
    stored = inbox.stored(transaction, row.message_id)
    missing = holds.missing(transaction, stored.about, row.code) if stored else ()
    return described, stored, missing


def delivery_of(
    stored: StoredMessage, missing: tuple[Sha256Hex, ...], row: ReadyHandover, *, known: Envelope | None = None
) -> Delivery:
    """The message as an adapter sees it. Its bytes were verified when they came; the record holds no others.

    `known`: its envelope, if that was read before.
    """
    envelope = known or read_envelope(parse_envelope(stored.sealed))
    return Delivery(
        key=DeliveryKey(row.message_id, row.code),
        message=envelope.message,
        override=envelope.extension.override,
        about=stored.about,
        missing=missing,
        attachments=tuple(
            IncomingAttachment(
                name=attachment.name,
                content_type=attachment.content_type,
                description=attachment.description,
                digest=attachment.digest,
                size=attachment.size,
            )
            for attachment in stored.attachments
        ),
        sealed=stored.sealed,
        signer=stored.signer,
        signed_at=stored.signed_at,
        accepted_at=stored.accepted_at,
        received_at=stored.received_at,
    )
