"""Judging what a mailbox hands out: is it what the hub accepted, sealed by who may, and for us?

Only faults of the bytes refuse a message for good. What can pass (a directory that is behind, trust that is not there
yet, a full disk) puts it off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, TypeAlias

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
from runtime.short_work import at_once_if
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import MalformedCode, Rejected, Unavailable
from schemas.limits import KIB, Limits
from schemas.message import Document
from schemas.receipts import Receipt, ReceiptEvent, SignedReceipt
from transport.wire import EnvelopeEntry

#: Seals that do not hold because of what this node knows of the world, rather than because of their bytes.
_TRUST_RULES: Final = frozenset({
    "agency-unknown", "agency-suspended", "agency-retired", "seal-certificate-expired",
    "seal-certificate-not-yet-valid", "seal-certificate-untrusted", "anchor-prefix", "signer-not-bound",
})  # fmt: skip

#: Certificates whose subjects are remembered: a node has mail from some agencies again and again.
_REMEMBERED_SUBJECTS: Final = 256

#: An envelope that comes alone is judged in passing, if with the proofs beside it it has so many bytes.
_SHORT: Final = 16 * KIB

#: For so many recipients in all the directory is asked in passing.
_FEW: Final = 4

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


#: What became of an entry; Unavailable where that cannot be said now.
Verdict: TypeAlias = Arrived | RefusedArrival | Unavailable


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A leased message that the hub has accepted, for those of our agencies; with its seal `opened`, or why it does
    not open."""

    entry: EnvelopeEntry
    acceptance: Acceptance
    codes: tuple[AgencyCode, ...]
    opened: OpenedSeal | Rejected


class Judge:
    """Judges entries of a mailbox by this node's own copy of the directory."""

    def __init__(self, database: Database, directory: DirectoryCopy, verifier: ReceiptVerifier, limits: Limits) -> None:
        self._database = database
        self._directory = directory
        self._verifier = verifier
        self._limits = limits

    async def judge(self, entries: Sequence[EnvelopeEntry], proofs: Mapping[str, bytes]) -> list[Verdict]:
        """What is to become of leased messages, in their order; Unavailable, with `retry_after`, where it cannot be
        said now.

        A batch is judged together, in one hop to a thread and one snapshot. Raises Unavailable (`database-…`).
        """
        is_short = len(entries) == 1 and len(entries[0].envelope) + sum(map(len, proofs.values())) <= _SHORT
        candidates = await at_once_if(is_short, partial(self._candidates, entries, proofs))
        taken = [candidate for candidate in candidates if isinstance(candidate, _Candidate)]
        if not taken:
            return [candidate for candidate in candidates if not isinstance(candidate, _Candidate)]
        attested = [await self._attested(candidate, proofs) for candidate in taken]
        # 3. All that the record and the directory have to say.
        is_light = sum(len(candidate.entry.recipients) for candidate in taken) <= _FEW
        ask = self._database.glance if is_light else self._database.read
        verdicts = iter(
            await ask(
                lambda transaction: [self._verdict(transaction, *each) for each in zip(taken, attested, strict=True)]
            )
        )
        return [next(verdicts) if isinstance(each, _Candidate) else each for each in candidates]

    def _candidates(
        self, entries: Sequence[EnvelopeEntry], proofs: Mapping[str, bytes]
    ) -> list[_Candidate | Unavailable]:
        """Work for a thread, unless it is one that is short: all of it in one hop."""
        signed = [SignedReceipt(entry.acceptance.receipt, proofs.get(entry.acceptance.proof, b"")) for entry in entries]
        found: list[_Candidate | Unavailable] = []
        for entry, proof, acceptance in zip(entries, signed, self._verifier.verified_hubs(signed), strict=True):
            try:
                found.append(self._candidate(entry, proof, acceptance))
            except Unavailable as error:
                found.append(error)
        return found

    def _candidate(
        self, entry: EnvelopeEntry, signed: SignedReceipt, verified: Verified[Receipt] | Rejected
    ) -> _Candidate:
        # 1. The hub answers for it: who sent it, when, under which version of the directory; and it is for us.
        if not signed.proof:
            raise _later("hub-answer", "The hub brings no proof of its acceptance.")
        try:
            if isinstance(verified, Rejected):
                raise verified
            self._verifier.require_submission(verified.value, ReceiptEvent.SUBMISSION_ACCEPTANCE, entry.message_id)
        except Rejected as error:
            raise _later(error.code, f"The hub's acceptance does not hold: {error.message}") from error
        accepted_under = verified.value.directory_version or 0
        if accepted_under > self._directory.version:
            raise _later(
                "directory-behind",
                f"It was accepted under version {accepted_under} of the directory; here is {self._directory.version}.",
                seconds=_WHEN_SYNCED,
            )
        served = self._served(entry)
        # 2. The bytes are an envelope with a seal, and the one that the hub accepted.
        return _Candidate(entry, Acceptance(verified.value, signed), served, self._opened(entry))

    def _opened(self, entry: EnvelopeEntry) -> OpenedSeal | Rejected:
        try:
            opened = open_seal(entry.envelope, self._limits)
        except Rejected as error:
            return error
        if opened.message_id != entry.message_id:
            return Rejected(
                "message-id-mismatch", f"The hub accepted {entry.message_id}; these bytes are {opened.message_id}."
            )
        return opened

    async def _attested(self, candidate: _Candidate, proofs: Mapping[str, bytes]) -> tuple[HeldReceipt, ...]:
        entry = candidate.entry
        return await own_receipts(
            entry.receipts, proofs, self._verifier, message_id=entry.message_id, codes=candidate.codes
        )

    def _verdict(
        self,
        transaction: Transaction,
        candidate: _Candidate,
        attested: tuple[HeldReceipt, ...],
    ) -> Verdict:
        try:
            if isinstance(candidate.opened, Rejected):
                raise candidate.opened
            return self._judged(transaction, candidate, candidate.opened, attested)
        except Unavailable as error:
            return error
        except Rejected as error:
            if error.code in _TRUST_RULES:
                return _later(error.code, error.message)
            return RefusedArrival(
                entry=candidate.entry, reason=error, acceptance=candidate.acceptance, codes=candidate.codes
            )

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
        self, transaction: Transaction, candidate: _Candidate, opened: OpenedSeal, attested: tuple[HeldReceipt, ...]
    ) -> Arrived:
        acceptance = candidate.acceptance
        newest = self._directory.version
        version = acceptance.receipt.directory_version or newest
        # Who sealed it may speak for its sender, at the time and by the directory of its acceptance.
        standing = self._directory.standing(transaction, opened.sender, version)
        envelope = opened.bind(
            self._directory.anchors(transaction, version),
            binding_of(standing) if standing else None,
            acceptance.receipt.occurred_at,
        )
        assert standing is not None  # noqa: S101 - an agency that nobody knows is not bound
        # It is said by who may say it, admissible, and addressed to us.
        require_admissible(envelope.value, self._limits)
        sender = standing.agency
        require_speaker(transaction, envelope.value, sender)
        served = [self._receiver(transaction, code, newest) for code in candidate.codes]
        # For whom it is not, the hub hands it out once more, by itself; then it is refused.
        receivers = addressed(transaction, envelope.value, served, version)
        come = inbox.codes_known(transaction, envelope.message_id)
        return Arrived(
            entry=candidate.entry,
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
    return _subject(standing.certificates[fingerprint])


@lru_cache(maxsize=_REMEMBERED_SUBJECTS)
def _subject(certificate: bytes) -> str:
    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string()


def _lane(transaction: Transaction, envelope: Envelope) -> int:
    if isinstance(envelope.message, Document):
        return lane_of(envelope.message.priority)
    lane = message_store.lane_of(transaction, envelope.extension.about)
    return LANES - 1 if lane is None else lane


def _later(code: str, message: str, *, seconds: float = _WHEN_RIGHT) -> Unavailable:
    error = Unavailable(code, message)
    error.retry_after = seconds
    return error
