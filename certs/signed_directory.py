"""The directory's signature: each version in an envelope after DSSE (Dead Simple Signing Envelope, version 1).

    {"payloadType": "application/vnd.congvan.directory.v1+json", "payload": base64,
     "signature": base64, "certificates": [base64 DER, …]}

What is signed is PAE(payloadType, payload), so that the bytes are never parsed before they are verified, and never
canonicalised. The digest of a version is that of its payload: signing again does not change it.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.certification_path import REMEMBERED_PATHS
from certs.errors import DIRECTORY_FAULTS, KeyRejected
from certs.keys import accepted_public_key, parse_certificate
from certs.sealing_key import SealingKey
from certs.signature_profile import MAXIMUM_CERTIFICATES
from certs.usage import DIRECTORY
from schemas.directory import NO_PREVIOUS, DirectoryVersion
from schemas.directory_codec import read_version, write_version
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

PAYLOAD_TYPE: Final = "application/vnd.congvan.directory.v1+json"

_FIELDS: Final = frozenset({"payloadType", "payload", "signature", "certificates"})


@dataclass(frozen=True, slots=True)
class AppliedVersion:
    """The version that a copy of the directory stands at."""

    number: int
    digest: Sha256Hex


@dataclass(frozen=True, slots=True)
class VerifiedVersion:
    """A version whose signature holds, and that follows on the one before.

    `is_expired` tells that it was past its expiry when it was verified: it is applied all the same, with a warning,
    for an old directory is better than none. `data` are the bytes as they came.
    """

    version: DirectoryVersion
    digest: Sha256Hex
    is_expired: bool
    data: bytes = field(repr=False)

    @property
    def applied(self) -> AppliedVersion:
        return AppliedVersion(self.version.number, self.digest)


def sign_version(version: DirectoryVersion, key: SealingKey) -> bytes:
    """The signed form of `version`, as it is stored and handed to nodes."""
    payload = write_version(version)
    return json.dumps(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": _encoded(payload),
            "signature": _encoded(_sign(_pae(payload), key)),
            "certificates": [_encoded(certificate.public_bytes(Encoding.DER)) for certificate in key.certificates],
        },
        separators=(",", ":"),
    ).encode()


def verify_version(
    data: bytes, anchors: Sequence[x509.Certificate], at: datetime, *, after: AppliedVersion | None
) -> VerifiedVersion:
    """The version in `data`, if a key for directories under `anchors` signed it and it follows directly on `after`.

    Raises:
        DirectoryRejected: `directory-form`, `directory-signature`, `directory-key`, `directory-certificate-…` for the
            signature; `directory-rollback` for a version that is older or the same, `directory-gap` if one is missing,
            `directory-fork` if it belongs to another history.
    """
    # 1. Who signed, and did they?
    envelope = _parsed(data)
    _require_signed(envelope)
    _require_signer(envelope, anchors, at)
    # 2. Does it follow on what is here?
    version = read_version(envelope.payload)
    digest = _digest(envelope.payload)
    _require_successor(version, digest, after)
    return VerifiedVersion(version, digest, is_expired=version.expires_at <= at, data=data)


def verify_single_version(data: bytes, anchors: Sequence[x509.Certificate]) -> VerifiedVersion:
    """The version in `data` by itself, judged at the time it was issued: what stood in the directory then.

    Raises DirectoryRejected for the signature, as `verify_version`; its place among others is not looked at.
    """
    envelope = _parsed(data)
    _require_signed(envelope)
    version = read_version(envelope.payload)
    _require_signer(envelope, anchors, version.issued_at)
    return VerifiedVersion(version, _digest(envelope.payload), is_expired=False, data=data)


def version_in(data: bytes) -> DirectoryVersion:
    """What signed bytes say, whose signature is not verified: to choose among versions that were verified before."""
    return read_version(_parsed(data).payload)


def version_digest(data: bytes) -> Sha256Hex:
    """The digest by which the next version names this one; of signed bytes, whose signature is not verified."""
    return _digest(_parsed(data).payload)


@dataclass(frozen=True, slots=True)
class _Envelope:
    payload: bytes
    signature: bytes
    certificates: tuple[x509.Certificate, ...]


def _parsed(data: bytes) -> _Envelope:
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict) or fields.keys() != _FIELDS:
            raise ValueError("its fields are not those of a signed directory version")
        if fields["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"its payload type is {fields['payloadType']!r}")
        chain = fields["certificates"]
        if not isinstance(chain, list) or not 1 <= len(chain) <= MAXIMUM_CERTIFICATES:
            raise ValueError("it brings no certificates, or too many")
        return _Envelope(
            payload=_decoded(fields["payload"]),
            signature=_decoded(fields["signature"]),
            certificates=tuple(parse_certificate(_decoded(text)) for text in chain),
        )
    except (ValueError, RecursionError, KeyRejected) as error:
        raise DIRECTORY_FAULTS(
            "form", f"This is no signed version of a directory: {error}.", mend="Fetch it from the hub again."
        ) from error


def _require_successor(version: DirectoryVersion, digest: Sha256Hex, after: AppliedVersion | None) -> None:
    here = after or AppliedVersion(0, NO_PREVIOUS)
    mend = "Fetch the versions that follow the one applied; if the hub was restored, ask its operator."
    if version.number == here.number and digest != here.digest:
        raise _history("fork", f"Another version {version.number} is applied already.", mend)
    if version.number <= here.number:
        raise _history("rollback", f"Version {version.number} is offered, and {here.number} is applied already.", mend)
    if version.number > here.number + 1:
        raise _history("gap", f"Version {version.number} is offered, and {here.number + 1} has not been applied.", mend)
    if version.previous != here.digest:
        raise _history("fork", f"Version {version.number} follows on another version {here.number}.", mend)


def _history(rule: str, message: str, mend: str) -> Rejected:
    return DIRECTORY_FAULTS(rule, message, mend=mend)


def _sign(message: bytes, key: SealingKey) -> bytes:
    if isinstance(key.private_key, rsa.RSAPrivateKey):
        return key.private_key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return key.private_key.sign(message, ec.ECDSA(hashes.SHA256()))


def _require_signed(envelope: _Envelope) -> None:
    _verify(_pae(envelope.payload), envelope.signature, envelope.certificates[0])


def _require_signer(envelope: _Envelope, anchors: Sequence[x509.Certificate], at: datetime) -> None:
    leaf, *above = envelope.certificates
    REMEMBERED_PATHS.find(leaf, above, anchors, usage=DIRECTORY, at=at, faults=DIRECTORY_FAULTS)


def _verify(message: bytes, signature: bytes, leaf: x509.Certificate) -> None:
    try:
        key = accepted_public_key(leaf.public_key())
    except (KeyRejected, ValueError, UnsupportedAlgorithm) as error:
        raise DIRECTORY_FAULTS("key", f"The signer's key is not taken: {error}") from error
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise DIRECTORY_FAULTS(
            "signature", "The signature of this directory version does not verify.", mend="Fetch it from the hub again."
        ) from error


def _pae(payload: bytes) -> bytes:
    """Pre-authentication encoding of DSSE v1: the type and the payload, each with its length."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _digest(payload: bytes) -> Sha256Hex:
    return hashlib.sha256(payload).hexdigest()


def _encoded(content: bytes) -> str:
    return b64encode(content).decode()


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("a field is no text")
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"a field is no base64: {error}") from error
