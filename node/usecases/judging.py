"""Judging what a mailbox hands out: is it what the hub accepted, sealed by who may, and for us?

Only faults of the bytes refuse a message for good. What can pass (a directory that is behind, trust that is not there
yet, a full disk) puts it off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from cryptography import x509

from certs.unsealing import OpenedSeal, open_seal
from certs.verified import Verified
from node.store import inbox
from node.store import messages as message_store
from node.store.directory import Standing
from node.store.metadata import Transaction
from node.usecases.addressing import addressed, require_admissible, require_speaker
from node.usecases.directory import DirectoryCopy, binding_of
from node.usecases.lanes import LANES, lane_of
from node.usecases.own_receipts import own_receipts
from node.usecases.receipt_keeping import HeldReceipt
from node.usecases.receipts import ReceiptVerifier
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import MalformedCode, Rejected, Unavailable
from schemas.limits import Limits
from schemas.message import Document
from schemas.receipts import Receipt, SignedReceipt
from transport.wire import EnvelopeEntry

#: Seals that do not hold because of what this node knows of the world, rather than because of their bytes.
_TRUST_RULES: Final = frozenset({
    "agency-unknown", "agency-suspended", "agency-retired", "seal-certificate-expired",
    "seal-certificate-not-yet-valid", "seal-certificate-untrusted", "anchor-prefix", "signer-not-bound",
})  # fmt: skip

#: Seconds until a message is asked for again: one that waits for something to be put right, or for the directory.
_WHEN_RIGHT: Final = 300.0
_WHEN_SYNCED: Final = 15.0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """That our hub accepted a message: the receipt, verified, and what proves it."""

    receipt: Receipt
    signed: SignedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A leased message that may enter. `sender` is the agency in From by the directory under which it was accepted.

    `codes` are those of our agencies that it is for, with their entries; `new` those for which it had not come before.
    `attested` is what they had attested of it before this node was put back to a backup.
    """

    entry: EnvelopeEntry
    envelope: Verified[Envelope]
    acceptance: Acceptance
    sender: AgencyEntry
    signer: str
    codes: Mapping[AgencyCode, AgencyEntry]
    new: tuple[AgencyCode, ...]
    lane: int
    attested: tuple[HeldReceipt, ...]

    @property
    def message_id(self) -> Sha256Hex:
        return self.envelope.message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedArrival:
    """A message that must never enter; its sender is told `reason` by those of our agencies that it came for."""

    entry: EnvelopeEntry
    reason: Rejected
    acceptance: Acceptance
    codes: tuple[AgencyCode, ...]


class Judge:
    """Judges entries of a mailbox by this node's own copy of the directory."""

    def __init__(self, database: Database, directory: DirectoryCopy, verifier: ReceiptVerifier, limits: Limits) -> None:
        self._database = database
        self._directory = directory
        self._verifier = verifier
        self._limits = limits

    async def judge(self, entry: EnvelopeEntry, proofs: Mapping[str, bytes]) -> Arrived | RefusedArrival:
        """What is to become of a leased message. Raises Unavailable, with `retry_after`, if that cannot be said now."""
        # 1. The hub answers for it: who sent it, when, under which version of the directory.
        acceptance = await self._acceptance(entry, proofs)
        accepted_under = acceptance.receipt.directory_version or 0
        if accepted_under > self._directory.version:
            raise _later(
                "directory-behind",
                f"It was accepted under version {accepted_under} of the directory; here is {self._directory.version}.",
                seconds=_WHEN_SYNCED,
            )
        # 2. It came for agencies of ours.
        codes = self._served(entry)
        try:
            # 3. The bytes are an envelope with a seal, and the one that the hub accepted.
            opened = await asyncio.to_thread(open_seal, entry.envelope, self._limits)
            if opened.message_id != entry.message_id:
                raise Rejected(
                    "message-id-mismatch", f"The hub accepted {entry.message_id}; these bytes are {opened.message_id}."
                )
            attested = await own_receipts(
                entry.receipts, proofs, self._verifier, message_id=entry.message_id, codes=codes
            )
            return await self._database.read(
                partial(self._judged, entry=entry, acceptance=acceptance, codes=codes, opened=opened, attested=attested)
            )
        except Rejected as error:
            if error.code in _TRUST_RULES:
                raise _later(error.code, error.message) from error
            return RefusedArrival(entry=entry, reason=error, acceptance=acceptance, codes=codes)

    async def _acceptance(self, entry: EnvelopeEntry, proofs: Mapping[str, bytes]) -> Acceptance:
        proof = proofs.get(entry.acceptance.proof)
        if proof is None:
            raise _later("hub-answer", "The hub brings no proof of its acceptance.")
        signed = SignedReceipt(entry.acceptance.receipt, proof)
        try:
            return Acceptance((await self._verifier.verify_acceptance(signed, entry.message_id)).value, signed)
        except Rejected as error:
            raise _later(error.code, f"The hub's acceptance does not hold: {error.message}") from error

    def _served(self, entry: EnvelopeEntry) -> tuple[AgencyCode, ...]:
        try:
            codes = tuple(dict.fromkeys(map(AgencyCode, entry.recipients)))
        except MalformedCode as error:
            raise _later("hub-answer", f"The hub hands it out for a code that is none: {error.message}") from error
        served = tuple(code for code in codes if code in self._directory.served_codes)
        if not served:
            names = ", ".join(entry.recipients[:10])
            raise _later("recipient-not-served", f"The hub hands it out for {names}, which this node does not serve.")
        return served

    def _judged(
        self,
        transaction: Transaction,
        *,
        entry: EnvelopeEntry,
        acceptance: Acceptance,
        codes: tuple[AgencyCode, ...],
        opened: OpenedSeal,
        attested: tuple[HeldReceipt, ...],
    ) -> Arrived:
        newest = self._directory.version
        version = acceptance.receipt.directory_version or newest
        # 4. Who sealed it may speak for its sender, at the time and by the directory of its acceptance.
        standing = self._directory.standing(transaction, opened.sender, version)
        envelope = opened.bind(
            self._directory.anchors(transaction, version),
            binding_of(standing) if standing else None,
            acceptance.receipt.occurred_at,
        )
        assert standing is not None  # noqa: S101 - an agency that nobody knows is not bound
        # 5. It is said by who may say it, admissible, and addressed to us.
        require_admissible(envelope.value, self._limits)
        sender = standing.agency
        require_speaker(transaction, envelope.value, sender)
        served = [self._receiver(transaction, code, newest) for code in codes]
        # For whom it is not, the hub hands it out once more, by itself; then it is refused.
        receivers = addressed(transaction, envelope.value, served, version)
        come = inbox.codes_known(transaction, envelope.message_id)
        return Arrived(
            entry=entry,
            envelope=envelope,
            acceptance=acceptance,
            sender=sender,
            signer=_signer(standing, envelope.signer_fingerprint),
            codes={receiver.code: receiver for receiver in receivers},
            new=tuple(receiver.code for receiver in receivers if receiver.code not in come),
            lane=_lane(transaction, envelope.value),
            attested=attested,
        )

    def _receiver(self, transaction: Transaction, code: AgencyCode, version: int) -> AgencyEntry:
        standing = self._directory.standing(transaction, code, version)
        if standing is None:
            raise _later("recipient-not-served", f"The directory no longer knows {code}.")
        return standing.agency


def _signer(standing: Standing, fingerprint: Sha256Hex) -> str:
    """The subject of the certificate that sealed, as people read it."""
    return x509.load_der_x509_certificate(standing.certificates[fingerprint]).subject.rfc4514_string()


def _lane(transaction: Transaction, envelope: Envelope) -> int:
    if isinstance(envelope.message, Document):
        return lane_of(envelope.message.priority)
    lane = message_store.lane_of(transaction, envelope.extension.about)
    return LANES - 1 if lane is None else lane


def _later(code: str, message: str, *, seconds: float = _WHEN_RIGHT) -> Unavailable:
    error = Unavailable(code, message)
    error.retry_after = seconds
    return error
