"""Handing over: a received message goes to the agency's software, by the adapter that serves the agency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import structlog

from adapters.sdk import Adapter, Delivery, DeliveryKey, IncomingAttachment, Later, Outcome
from node.store import handovers, inbox
from node.store.handovers import ReadyHandover
from node.store.inbox import StoredMessage
from node.store.metadata import Transaction
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError, Unavailable
from schemas.travel import parse_envelope, read_envelope

log = structlog.get_logger()

#: The adapter that hands over to an agency; None if none is set up for it.
AdapterRoute: TypeAlias = Callable[[AgencyCode], Adapter | None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a hand-over, and what the software said to it."""

    row: ReadyHandover
    stored: StoredMessage
    delivery: Delivery
    outcome: Outcome


class HandingOver:
    """Calls adapters. `timeout` is how many seconds one may take over a message."""

    def __init__(self, database: Database, route: AdapterRoute, *, timeout: float) -> None:
        self._database = database
        self._route = route
        self._timeout = timeout

    async def attempt(self, row: ReadyHandover) -> Attempt:
        """Hand a message over once. What an adapter raises, or takes too long for, is for later."""
        stored, missing = await self._database.read(partial(_stored, row=row))
        delivery = await asyncio.to_thread(_delivery, stored, missing, row)
        return Attempt(row, stored, delivery, await self._outcome(delivery))

    async def _outcome(self, delivery: Delivery) -> Outcome:
        adapter = self._route(delivery.key.recipient)
        if adapter is None:
            return Later(f"No adapter is set up for {delivery.key.recipient}.")
        try:
            async with asyncio.timeout(self._timeout):
                return await adapter.deliver(delivery)
        except TimeoutError:
            return Later(f"The adapter did not answer within {self._timeout:g} seconds.")
        except CongvanError as error:
            return Later(str(error))
        except Exception as error:
            # Foreign code: whatever it raises, the message is kept and tried again.
            log.exception("adapter.failed", delivery=str(delivery.key))
            return Later(f"{type(error).__name__}: {error}")


def _stored(transaction: Transaction, row: ReadyHandover) -> tuple[StoredMessage, tuple[Sha256Hex, ...]]:
    """The message, and which of those that it speaks of never came for this agency."""
    stored = inbox.stored(transaction, row.message_id)
    if stored is None:
        raise Unavailable("message-unknown", f"The bytes of the message {row.message_id} are no longer here.")
    return stored, handovers.missing(transaction, stored.about, row.code)


def _delivery(stored: StoredMessage, missing: tuple[Sha256Hex, ...], row: ReadyHandover) -> Delivery:
    """The message as an adapter sees it. Its bytes were verified when they came; the record holds no others."""
    return Delivery(
        key=DeliveryKey(row.message_id, row.code),
        message=read_envelope(parse_envelope(stored.sealed)).message,
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
