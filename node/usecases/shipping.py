"""Shipping: messages of ours on their way to the hub, those that are light several in one request.

What is ready while a request is under way goes with the next one: the request, the hub's judgement, its signature and
the commits on both sides are shared. The next request does not wait for the acknowledgements of the one before to be
verified and noted. An express message never waits for a request with ordinary ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from certs.verified import Verified
from node.store import messages as message_store
from node.store.metadata import Transaction
from node.usecases.attachments import SMALL
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.receipts import ReceiptVerifier
from node.usecases.retention import sealed_bytes
from node.usecases.together import Together
from runtime.database import Database
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.receipts import Receipt, SignedReceipt
from transport.batches import BATCH_BYTES, MOST, BroughtSubmission
from transport.client import HubClient
from transport.wire import SubmissionAnswer

#: A message with more bytes than this goes by itself, and holds up no other.
LIGHT: Final = BATCH_BYTES // 4

#: Whether a message is express: those that are share nothing with those that are not.
_LANES: Final = (True, False)

#: So many messages are read from the record in passing.
_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message with all that goes along: its attachments, each content once, and the bytes of the short ones."""

    message_id: Sha256Hex
    sealed: bytes
    attachments: Mapping[Sha256Hex, int]
    short: Mapping[Sha256Hex, bytes]

    @property
    def is_light(self) -> bool:
        """Whether it may go with others: whole, and short."""
        return len(self.short) == len(self.attachments) and self.brought.size <= LIGHT

    @property
    def brought(self) -> BroughtSubmission:
        return BroughtSubmission(self.sealed, tuple(self.short.values()))


@dataclass(slots=True)
class Shipment:
    """A message, and what the hub answered; with its acknowledgement `verified`, if the answer brought one.

    No answer: the message is not light, or the hub would not take it with others; it is to be submitted by itself.
    """

    message_id: Sha256Hex
    answer: SubmissionAnswer | CongvanError | None = None
    verified: Verified[Receipt] | Rejected | None = None

    @property
    def acknowledgement(self) -> SignedReceipt | None:
        """What the answer brought to be verified."""
        if not isinstance(self.answer, SubmissionAnswer) or self.answer.acknowledgement is None:
            return None
        return SignedReceipt(self.answer.acknowledgement.receipt, self.answer.acknowledgement.proof)


class Shipping:
    """Brings messages to the hub. Attachments of a message up to `inline_bytes` in all travel with its envelope."""

    def __init__(self, database: Database, hub: HubClient, verifier: ReceiptVerifier, *, inline_bytes: int) -> None:
        self._database = database
        self._hub = hub
        self._verifier = verifier
        self._inline_bytes = inline_bytes
        self._requests = {lane: Together(self._ship, most=MOST) for lane in _LANES}
        self._verifications = {lane: Together(self._verify, most=MOST) for lane in _LANES}

    async def ship(self, message_id: Sha256Hex, lane: int) -> Shipment:
        """Bring a message to the hub, with others as urgent. Raises what its own answer says, or Unavailable."""
        shipment = Shipment(message_id)
        is_express = lane == EXPRESS_LANE
        await self._requests[is_express](shipment)
        if isinstance(shipment.answer, CongvanError):
            raise shipment.answer
        if shipment.acknowledgement is not None:
            await self._verifications[is_express](shipment)
        return shipment

    async def outgoing(self, message_id: Sha256Hex) -> Outgoing:
        """A message that is submitted by itself. Raises Unavailable."""
        return await self._database.read(lambda transaction: self._outgoing(transaction, message_id))

    async def _ship(self, shipments: list[Shipment]) -> None:
        ask = self._database.glance if len(shipments) <= _FEW else self._database.read
        light = await ask(lambda transaction: list(self._light(transaction, shipments)))
        for batch in _batches(light):
            await self._submit(batch)

    def _light(
        self, transaction: Transaction, shipments: Sequence[Shipment]
    ) -> Iterator[tuple[Shipment, BroughtSubmission]]:
        """Those that may go with others; of the rest no more is read than what tells that."""
        for shipment in shipments:
            try:
                if sum(_attachment_sizes(transaction, shipment.message_id).values()) > LIGHT:
                    continue
                outgoing = self._outgoing(transaction, shipment.message_id)
            except CongvanError as error:
                shipment.answer = error
            else:
                if outgoing.is_light:
                    yield shipment, outgoing.brought

    def _outgoing(self, transaction: Transaction, message_id: Sha256Hex) -> Outgoing:
        sealed = sealed_bytes(transaction, message_id)
        sizes = _attachment_sizes(transaction, message_id)
        short: dict[Sha256Hex, bytes] = {}
        room = self._inline_bytes
        for digest, size in sizes.items():
            if size <= min(room, SMALL) and (content := message_store.small_blob(transaction, digest)) is not None:
                short[digest] = content
                room -= size
        return Outgoing(message_id, sealed, sizes, short)

    async def _submit(self, batch: Sequence[tuple[Shipment, BroughtSubmission]]) -> None:
        try:
            answers = await self._hub.submit_all([brought for _, brought in batch])
        except Rejected:
            # What the request as a whole is refused for, none of them need be at fault for.
            return
        except Unavailable as error:
            answers = [error] * len(batch)
        for (shipment, _), answer in zip(batch, answers, strict=True):
            shipment.answer = answer

    async def _verify(self, shipments: list[Shipment]) -> None:
        signed = [shipment.acknowledgement for shipment in shipments]
        verified = await self._verifier.verify_all([each for each in signed if each is not None])
        for shipment, each in zip(shipments, verified, strict=True):
            shipment.verified = each


def _attachment_sizes(transaction: Transaction, message_id: Sha256Hex) -> dict[Sha256Hex, int]:
    return {row.digest: row.size for row in message_store.attachments_of(transaction, message_id)}


def _batches(
    light: Sequence[tuple[Shipment, BroughtSubmission]],
) -> Iterator[list[tuple[Shipment, BroughtSubmission]]]:
    """The messages in as few requests as hold them."""
    batch: list[tuple[Shipment, BroughtSubmission]] = []
    size = 0
    for shipment, brought in light:
        if batch and (len(batch) == MOST or size + brought.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((shipment, brought))
        size += brought.size
    if batch:
        yield batch
