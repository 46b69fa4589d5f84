"""Own messages fetched back: what the hub accepted from this node, and this record no longer knows.

A node that was put back to a backup lacks what it sent since. The hub has it, sealed by our own key, with its receipts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog

from certs.unsealing import OpenedSeal, open_seal
from certs.verified import Verified
from node.store import directory as directory_store
from node.store import messages as message_store
from node.store import outbox, recovered
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.recovered import RecoveredMessage
from node.usecases.directory import DirectoryCopy, binding_of
from node.usecases.lanes import LANES, lane_of
from node.usecases.receipt_keeping import HeldReceipt, keep_receipts
from node.usecases.receipts import ReceiptVerifier
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.codes import AgencyCode
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import Rejected, Unavailable
from schemas.limits import Limits
from schemas.message import Document
from schemas.receipts import ReceiptEvent, SignedReceipt
from transport.client import HubClient
from transport.wire import MessageTrace

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A message of ours as the hub gives it back."""

    opened: OpenedSeal
    trace: MessageTrace
    acceptance: HeldReceipt
    receipts: Sequence[HeldReceipt]


class OwnMessages:
    """Brings back into the outbox what the hub has of ours."""

    def __init__(
        self,
        database: Database,
        hub: HubClient,
        directory: DirectoryCopy,
        verifier: ReceiptVerifier,
        wakeups: Wakeups,
        *,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._database = database
        self._hub = hub
        self._directory = directory
        self._verifier = verifier
        self._wakeups = wakeups
        self._limits = limits
        self._clock = clock

    async def recover(self, message_id: Sha256Hex, *, epoch: str) -> bool:
        """Record a message of ours that the hub of `epoch` has, with its receipts, as accepted; False if it cannot be.

        It cannot if the hub does not know it as ours, has dropped its bytes, or what it gives back does not hold: that
        is said in the log. Its attachments follow by themselves. Raises Unavailable if the hub cannot be asked now.
        """
        try:
            fetched = await self._fetched(message_id)
            await self._database.write(lambda transaction: self._record(transaction, fetched, epoch))
        except Rejected as error:
            log.error("own-message.not-recovered", message=message_id, rule=error.code, reason=error.message)
            return False
        self._wakeups.wake(Work.OWN_ATTACHMENTS)
        log.warning("own-message.recovered", message=message_id, sender=str(fetched.opened.sender))
        return True

    async def _fetched(self, message_id: Sha256Hex) -> _Fetched:
        trace = await self._hub.message(message_id)
        data = await self._hub.envelope(message_id)
        opened = await asyncio.to_thread(open_seal, data, self._limits)
        if opened.message_id != message_id:
            raise Rejected("message-id-mismatch", f"The hub was asked for {message_id} and gave {opened.message_id}.")
        held = [HeldReceipt((await self._verifier.verify(signed)).value, signed) for signed in _signed(trace)]
        for receipt in held:
            if receipt.receipt.event is ReceiptEvent.SUBMISSION_ACCEPTANCE:
                await self._verifier.verify_acceptance(receipt.signed, message_id)
                return _Fetched(opened, trace, receipt, held)
        raise Rejected("acknowledgement-mismatch", f"The hub brings no acceptance of {message_id}.")

    def _record(self, transaction: Transaction, fetched: _Fetched, epoch: str) -> None:
        if outbox.standing_of(transaction, fetched.opened.message_id) is not None:
            return
        accepted = fetched.acceptance.receipt
        envelope, sender = self._bound(transaction, fetched)
        message = envelope.value.message
        about = envelope.value.extension.about
        lane = lane_of(message.priority) if isinstance(message, Document) else message_store.lane_of(transaction, about)
        recovered.add(
            transaction,
            RecoveredMessage(
                message=RecordedMessage(
                    message_id=envelope.message_id,
                    envelope=envelope.value,
                    data=envelope.data,
                    sender=sender,
                    lane=LANES - 1 if lane is None else lane,
                ),
                submission_id=envelope.value.extension.submission_id,
                sealed_at=envelope.signed_at,
                accepted_at=accepted.occurred_at,
                epoch=epoch,
                recipients=tuple(_recipients(transaction, envelope.value, fetched.trace)),
            ),
            at=self._clock(),
        )
        keep_receipts(transaction, fetched.receipts, at=self._clock())

    def _bound(self, transaction: Transaction, fetched: _Fetched) -> tuple[Verified[Envelope], AgencyCode]:
        """The envelope, if whoever sealed it could speak for an agency of ours when the hub accepted it."""
        accepted = fetched.acceptance.receipt
        version = accepted.directory_version or self._directory.version
        if version > self._directory.version:
            raise Unavailable("directory-behind", f"It was accepted under version {version} of the directory.")
        standing = self._directory.standing(transaction, fetched.opened.sender, version)
        envelope = fetched.opened.bind(
            self._directory.anchors(transaction, version),
            binding_of(standing) if standing else None,
            accepted.occurred_at,
        )
        assert standing is not None  # noqa: S101 - an agency that nobody knows is not bound
        if standing.agency.code not in self._directory.served_codes:
            raise Rejected("sender-not-served", f"This node does not serve {standing.agency.code}.")
        return envelope, standing.agency.code


def _signed(trace: MessageTrace) -> Iterator[SignedReceipt]:
    for reference in trace.receipts:
        proof = trace.proofs.get(reference.proof)
        if proof is not None:
            yield SignedReceipt(reference.receipt, proof)


def _recipients(
    transaction: Transaction, envelope: Envelope, trace: MessageTrace
) -> Iterator[tuple[AgencyCode, AgencyCode]]:
    """Whom the hub resolved the message to, each with the code that the message names, if it names one."""
    written: dict[AgencyCode, AgencyCode] = {}
    for organ in envelope.message.recipients if isinstance(envelope.message, Document) else ():
        entry = directory_store.agency(transaction, organ.organ_id)
        written[entry.code if entry else organ.organ_id] = organ.organ_id
    for delivery in trace.deliveries:
        code = AgencyCode(delivery.recipient)
        yield code, written.get(code, code)
