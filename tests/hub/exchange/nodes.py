"""Nodes as a hub sees them: what they seal, submit, fetch and report. And the time that all of them go by."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from certs.receipts import sign_receipts
from certs.sealing import Sealed, SealingKey, seal
from schemas.codes import AgencyCode
from schemas.envelope import Envelope
from schemas.errors import CongvanError
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt
from tests.hub.exchange.documents import digest_of
from transport.client import HubClient
from transport.wire import (
    EnvelopeEntry,
    ItemResult,
    MailboxAnswer,
    Outcome,
    OutcomeKind,
    OutcomesAnswer,
    OutcomesRequest,
    ReceiptEntry,
    ReceiptRef,
    SubmissionAnswer,
)

NOW = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """A clock that stands until a test sets it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the hub sees it: it seals, submits, fetches and reports for its codes."""

    connection: str
    codes: tuple[str, ...]
    key: SealingKey
    client: HubClient
    session: aiohttp.ClientSession
    clock: Clock

    def seal(self, envelope: Envelope) -> Sealed:
        return seal(envelope, self.key, self.clock())

    async def send(self, envelope: Envelope, *attachments: bytes) -> SubmissionAnswer:
        """Seal and submit in one go, the attachments in the same body."""
        data = self.seal(envelope).data
        return await self.client.submit(data, {digest_of(content): content for content in attachments})

    async def fetch(self, limit: int = 100, wait: float = 0, *, express: bool = False) -> MailboxAnswer:
        return await self.client.mailbox(wait=wait, limit=limit, express=express)

    async def envelopes(self, limit: int = 100) -> list[EnvelopeEntry]:
        """The envelopes that wait; receipts that wait as well are passed over."""
        return [entry for entry in (await self.fetch(limit)).entries if isinstance(entry, EnvelopeEntry)]

    async def receipts(self, limit: int = 100) -> list[ReceiptEntry]:
        return [entry for entry in (await self.fetch(limit)).entries if isinstance(entry, ReceiptEntry)]

    def receipt(
        self, message_id: str, sender: str, code: str, event: ReceiptEvent, *, issuer: str | None = None
    ) -> SignedReceipt:
        """A receipt signed with this node's key; an honest one if `issuer` is left out."""
        failed = event.endswith("Failure")
        (signed,) = sign_receipts(
            [
                Receipt(
                    receipt_id=secrets.token_hex(8),
                    event=event,
                    issuer=Issuer(IssuerKind.AGENCY, issuer or code),
                    message_id=message_id,
                    sender=AgencyCode(sender),
                    recipient=AgencyCode(code),
                    occurred_at=self.clock(),
                    reason=Reason("seal-digest", "Nội dung đã bị thay đổi") if failed else None,
                )
            ],
            self.key,
            issued_at=self.clock(),
        )
        return signed

    async def report(
        self,
        entry: EnvelopeEntry,
        sender: str,
        kind: OutcomeKind = OutcomeKind.CONSIGNED,
        *,
        codes: tuple[str, ...] | None = None,
        lease: str | None = None,
    ) -> ItemResult:
        """Report one leased envelope as consigned or refused, for all its codes or some."""
        consigned = kind is OutcomeKind.CONSIGNED
        event = ReceiptEvent.CONTENT_CONSIGNMENT if consigned else ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE
        signed = [self.receipt(entry.message_id, sender, code, event) for code in codes or entry.recipients]
        outcome = Outcome(
            entry=entry.entry, lease=lease or entry.lease, outcome=kind, receipts=tuple(map(ref_of, signed))
        )
        answer = await self.client.report(OutcomesRequest(outcomes=(outcome,), proofs=proofs_of(signed)))
        return answer.outcomes[0]

    async def received(self, entry: ReceiptEntry) -> ItemResult:
        outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.RECEIVED)
        return (await self.client.report(OutcomesRequest(outcomes=(outcome,)))).outcomes[0]

    async def hand_over(self, message_id: str, sender: str, code: str) -> OutcomesAnswer:
        """Send a handover receipt."""
        signed = self.receipt(message_id, sender, code, ReceiptEvent.CONTENT_HANDOVER)
        return await self.client.report(OutcomesRequest(receipts=(ref_of(signed),), proofs=proofs_of([signed])))


def ref_of(signed: SignedReceipt) -> ReceiptRef:
    return ReceiptRef(receipt=signed.receipt, proof=str(hash(signed.proof)))


def proofs_of(signed: list[SignedReceipt]) -> dict[str, bytes]:
    return {str(hash(each.proof)): each.proof for each in signed}


async def rejection(call: Awaitable[object]) -> CongvanError:
    """The error that `call` ends with."""
    with pytest.raises(CongvanError) as caught:
        await call
    return caught.value
