"""Unsealing: bytes become a `Verified[Envelope]`, or a refusal that says which rule did not hold.

Two steps, so that the directory can be asked between them. `open_seal` finds out what was signed and by which key, and
believes nobody. `bind` decides whether that key may speak for the agency in From at a given time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from certs.agency_signer import require_agency_signer, require_known
from certs.errors import SEAL_FAULTS
from certs.sealing import SEAL_PARENTS
from certs.signature_form import decoded
from certs.signature_profile import ds
from certs.signature_reader import OpenedSignature, known_signature, open_signature
from certs.signature_text import taken_apart
from certs.trust import SignerBinding, Trust, TrustAnchor
from certs.verified import Verified, verified
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import Rejected
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.message import BusinessType, StatusCode, StatusMessage
from schemas.namespaces import QCVN
from schemas.travel import parse_envelope, read_envelope
from schemas.travel_text import envelope_in
from schemas.xml import parse, parse_canonical

_DIGEST_BYTES: Final = 32

#: What stands before and behind the seal in bytes that we write.
_BEFORE: Final = b"</cv:Extension>"
_BEHIND: Final = b"</edXML:edXMLHeader>"


@dataclass(frozen=True, slots=True)
class OpenedSeal:
    """An envelope whose signature verifies with the key that it brings along. Whose key that is, nobody has said yet.

    `sender` is the code in From, for which the directory is to be asked; `message_id` the digest that was signed.
    """

    sender: AgencyCode
    message_id: Sha256Hex
    certificate_fingerprint: Sha256Hex
    _data: bytes = field(repr=False)
    _envelope: Envelope = field(repr=False)
    _signature: OpenedSignature = field(repr=False)

    @property
    def named(self) -> int | None:
        """How many agencies and messages it names; None if a rule, the record, or what it changes, says whom it is for.

        Good for telling how much work it will be, and nothing else: nobody has said whose word it is.
        """
        message, extension = self._envelope.message, self._envelope.extension
        if isinstance(message, StatusMessage):
            # What is taken back is so for everybody to whom the document went.
            return None if message.status_code is StatusCode.TAKEN_BACK else 1 + len(extension.about)
        if extension.selectors or message.business_type is not BusinessType.NEW:
            return None
        return len(message.recipients) + len(extension.about)

    def bind(self, anchors: Sequence[TrustAnchor], binding: SignerBinding | None, at: datetime) -> Verified[Envelope]:
        """The envelope, if at the time `at` its signer may speak for the agency in From.

        `binding` is what the directory says of `sender`; where From holds an older code, the binding's own code is
        that of today, and it is the one that an anchor must hold for: codes are related by the directory alone.

        Raises:
            SealRejected: see there for the codes and their order.
        """
        # 1. The directory knows the agency, and it may take part.
        known = require_known(self.sender, binding, SEAL_FAULTS)
        _require_active(self.sender, known)
        # 2. The signer's certificate leads to an anchor that holds for the agency, and the directory names it.
        require_agency_signer(self._signature, known, anchors, at, SEAL_FAULTS)
        return verified(
            self._envelope,
            data=self._data,
            message_id=self.message_id,
            signer_fingerprint=self.certificate_fingerprint,
            signed_at=self._signature.signed_at,
        )


def open_seal(data: bytes, limits: Limits = DEFAULT_LIMITS) -> OpenedSeal:
    """Parse `data`, verify its seal with the key that it brings along, and decode what the seal covers.

    Raises:
        SealRejected: the seal is not there, not of the profile, or does not verify.
        LimitExceeded, MalformedMessage, MalformedCode: the envelope is not of the form that travels.
    """
    known = known_seal(data, limits)
    if known is not None:
        return known
    with SEAL_FAULTS.of_place():
        root = parse_envelope(data, limits)
    signature = open_signature(root, SEAL_PARENTS, SEAL_FAULTS)
    return _opened(data, read_envelope(parse_canonical(signature.content)), signature)


def known_seal(data: bytes, limits: Limits = DEFAULT_LIMITS) -> OpenedSeal | None:
    """What `open_seal` gives, if envelope and Signature are to the byte as we write them, in a fifth of the time.

    None if they are not, or anything is wrong: the parser judges then, and says what. That takes up to a third of a
    second (to say in words why the form is broken); this takes time by the length alone.
    """
    parts = taken_apart(data)
    if parts is None:
        return None
    before, seal, behind = parts
    # In what is written this stands once: last in edXMLHeader, as `SEAL_PARENTS` says.
    if not (before.endswith(_BEFORE) and behind.startswith(_BEHIND)):
        return None
    content = before + behind
    envelope = envelope_in(content, limits, sealed_bytes=len(data))
    signature = known_signature(seal, content) if envelope is not None else None
    return _opened(data, envelope, signature) if envelope is not None and signature is not None else None


def _opened(data: bytes, envelope: Envelope, signature: OpenedSignature) -> OpenedSeal:
    return OpenedSeal(
        sender=envelope.sender,
        message_id=signature.digest,
        certificate_fingerprint=signature.fingerprint,
        _data=data,
        _envelope=envelope,
        _signature=signature,
    )


def unseal(data: bytes, trust: Trust, at: datetime, limits: Limits = DEFAULT_LIMITS) -> Verified[Envelope]:
    """What the seal of `data` covers, if at the time `at` its signer may speak for the agency in From.

    Raises:
        SealRejected, LimitExceeded, MalformedMessage, MalformedCode: as `open_seal` and `OpenedSeal.bind`.
    """
    opened = open_seal(data, limits)
    return opened.bind(trust.anchors, trust.binding_of(opened.sender), at)


@dataclass(frozen=True, slots=True)
class ClaimedIdentity:
    """Which message bytes say that they are: the code in From, and the first digest of their Signature.

    Good for naming what was refused, and for nothing else.
    """

    sender: AgencyCode
    message_id: Sha256Hex


def claimed_identity(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ClaimedIdentity | None:
    """What refused bytes say of themselves; None if they are no XML, or do not say both."""
    try:
        root = parse(data, limits)
        digest = root.find(f".//{ds('Signature')}/{ds('SignedInfo')}/{ds('Reference')}/{ds('DigestValue')}")
        sender = root.find(f".//{{{QCVN}}}MessageHeader/{{{QCVN}}}From/{{{QCVN}}}OrganId")
        if digest is None or sender is None or len(claimed := decoded(digest)) != _DIGEST_BYTES:
            return None
        return ClaimedIdentity(AgencyCode.parse(sender.text or ""), claimed.hex())
    except Rejected:
        return None


def _require_active(sender: AgencyCode, binding: SignerBinding) -> None:
    match binding.status:
        case EntryStatus.ACTIVE:
            return
        case EntryStatus.SUSPENDED:
            code, message, mend = "agency-suspended", f"{sender} is suspended.", "Ask the operator of the hub."
        case EntryStatus.RETIRED:
            code, message, mend = "agency-retired", f"{sender} is retired.", "Use the code of its successor."
    raise SEAL_FAULTS.named(code, message, mend=mend, element="MessageHeader/From/OrganId")
