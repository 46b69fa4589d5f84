"""Seals on the command line: who made one and when, whether it holds, and making one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from adapters.content_types import content_type_of
from certs.errors import SEAL_FAULTS
from certs.keys import fingerprint, read_certificates
from certs.sealing import SEAL_PARENTS, Sealed, SealingKey, seal
from certs.signature_reader import open_signature
from certs.trust import SignerBinding, TrustAnchor
from certs.unsealing import open_seal
from certs.verified import Verified
from congvan.envelope_files import AttachmentFile, EdxmlFile
from congvan.envelope_json import Json
from schemas.directory import EntryStatus
from schemas.envelope import CONTENT_ID_PREFIX, AttachmentSize, Envelope, Extension, Sha256Hex
from schemas.errors import Rejected
from schemas.message import Document, Reference, TraceHeader
from schemas.times import TimestampText
from schemas.travel import parse_envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class SealFacts:
    """What a seal says of itself. `verified` is True only where it led to an anchor that the caller gave.

    `fault` is why it does not hold, None where nothing speaks against it.
    """

    message_id: Sha256Hex | None
    signer: x509.Certificate | None
    signed_at: datetime | None
    verified: bool
    fault: str | None

    def as_json(self) -> dict[str, Json]:
        return {
            "verified": self.verified,
            "fault": self.fault,
            "message_id": self.message_id,
            "signed_at": self.signed_at.isoformat().replace("+00:00", "Z") if self.signed_at else None,
            "signer": signer_as_json(self.signer) if self.signer else None,
        }


def signer_as_json(certificate: x509.Certificate) -> dict[str, Json]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "sha256": fingerprint(certificate),
    }


def read_anchors(paths: Sequence[Path]) -> tuple[TrustAnchor, ...]:
    """The certificates in these PEM files, each believed for every agency.

    Raises:
        KeyRejected: a file holds no certificate.
        Rejected: a file is missing or may not be read.
    """
    return tuple(TrustAnchor(certificate, ("",)) for path in paths for certificate in read_certificates(path))


def verify_seal(data: bytes, anchors: Sequence[TrustAnchor], at: datetime) -> Verified[Envelope]:
    """The envelope in `data`, if its seal holds and leads to one of `anchors` at the time `at`.

    A directory is not asked here: that the key may speak for the agency in From is the word of the anchor's authority.

    Raises:
        SealRejected: the seal does not hold, or leads elsewhere.
        Rejected: the bytes are no envelope.
    """
    opened = open_seal(data)
    binding = SignerBinding(opened.sender, EntryStatus.ACTIVE, frozenset({opened.certificate_fingerprint}))
    return opened.bind(anchors, binding, at)


def seal_facts(data: bytes, anchors: Sequence[TrustAnchor], at: datetime) -> SealFacts | None:
    """What the seal of the envelope in `data` says, verified if `anchors` are given; None where there is no seal."""
    root = parse_envelope(data)
    try:
        signature = open_signature(root, SEAL_PARENTS, SEAL_FAULTS)
        if anchors:
            verify_seal(data, anchors, at)
    except Rejected as error:
        if error.code == SEAL_FAULTS.code("missing"):
            return None
        return SealFacts(message_id=None, signer=None, signed_at=None, verified=False, fault=str(error))
    return SealFacts(
        message_id=signature.digest,
        signer=signature.signer,
        signed_at=signature.signed_at,
        verified=bool(anchors),
        fault=None,
    )


def seal_file(file: EdxmlFile, key: SealingKey, now: datetime, submission_id: str) -> Sealed:
    """`file` sealed: an envelope that travels and has no seal as it is, a classic file as the envelope made from it.

    The envelope names a classic file's attachments by their content; they lie beside it from then on.

    Raises:
        SealRejected: `seal-doubled`, where there is a seal already.
        Rejected: the message breaks a rule of the form that travels.
    """
    if file.travelling is not None:
        return seal(file.travelling.data, key, now)
    message = file.message
    if not isinstance(message, Document):
        return seal(Envelope(message, Extension(submission_id=submission_id)), key, now)
    references = tuple(
        Reference(
            content_id=CONTENT_ID_PREFIX + attachment.digest,
            content_type=_own_type(attachment),
            attachment_name=attachment.name,
            description=attachment.description,
        )
        for attachment in file.attachments
    )
    sizes = {attachment.digest: attachment.size for attachment in file.attachments}
    trace = message.trace or (TraceHeader(organ_id=message.sender.organ_id, timestamp=TimestampText.of(now)),)
    extension = Extension(
        submission_id=submission_id,
        attachment_sizes=tuple(AttachmentSize(digest, size) for digest, size in sizes.items()),
    )
    return seal(Envelope(replace(message, references=references, trace=trace), extension), key, now)


def _own_type(attachment: AttachmentFile) -> str:
    """The type of the file itself: what is wrapped is called by its wrapping."""
    written = attachment.content_type if not attachment.wrapped else ""
    return written or content_type_of(attachment.name)
