"""The directory: signed versions, each on the one before, and no way back."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.errors import DirectoryRejected
from certs.keys import PrivateKey, new_p256_key, new_rsa_key
from certs.sealing_key import SealingKey
from certs.signed_directory import AppliedVersion, VerifiedVersion, sign_version, verify_version, version_digest
from schemas.directory import NO_PREVIOUS, AgencyEntry, AnchorEntry, ConnectionEntry, DirectoryVersion, EntryStatus
from tests.vectors.attacks.certificates import as_seal
from tests.vectors.workshop import AT, G22, Workshop, unrestricted_chain


def version(number: int = 1, previous: str = NO_PREVIOUS, name: str = "Văn phòng Chính phủ") -> DirectoryVersion:
    return DirectoryVersion(
        number=number,
        previous=previous,
        issued_at=AT,
        expires_at=AT + timedelta(days=7),
        agencies=(AgencyEntry(code=G22, name=name, connection="c-1"),),
        connections=(
            ConnectionEntry(connection="c-1", name="Nút G22", seal_certificates=(b"der",), status=EntryStatus.ACTIVE),
        ),
        anchors=(AnchorEntry(certificate=b"der", prefixes=("",)),),
    )


def key_for_directories(workshop: Workshop, private: PrivateKey) -> SealingKey:
    return SealingKey(private, workshop.national.issue_directory(private.public_key(), "hub", AT))


@pytest.fixture(scope="module")
def key(workshop: Workshop) -> SealingKey:
    return key_for_directories(workshop, new_p256_key())


def verify(data: bytes, workshop: Workshop, after: AppliedVersion | None = None) -> VerifiedVersion:
    return verify_version(data, [workshop.national.root], AT, after=after)


def refusal_of(data: bytes, workshop: Workshop, after: AppliedVersion | None = None) -> str:
    with pytest.raises(DirectoryRejected) as refusal:
        verify(data, workshop, after)
    return refusal.value.code


def changed(data: bytes, **fields: Any) -> bytes:
    """The signed version with some of its fields exchanged."""
    return json.dumps(json.loads(data) | fields).encode()


@pytest.mark.parametrize("private", [new_p256_key(), new_rsa_key()], ids=["p-256", "rsa"])
def test_a_version_comes_back_verified(workshop: Workshop, private: PrivateKey) -> None:
    """Whatever kind of key the hub has, nodes get the version that it signed, and the bytes to keep."""
    data = sign_version(version(), key_for_directories(workshop, private))
    verified = verify(data, workshop)
    assert (verified.version, verified.data, verified.is_expired) == (version(), data, False)
    assert verified.applied == AppliedVersion(1, version_digest(data))


def test_versions_follow_each_other(workshop: Workshop, key: SealingKey) -> None:
    """A node applies version after version, each naming the digest of the one before."""
    applied = None
    for number in range(1, 5):
        previous = applied.digest if applied else NO_PREVIOUS
        applied = verify(sign_version(version(number, previous), key), workshop, applied).applied
    assert applied is not None
    assert applied.number == 4


def test_the_digest_does_not_depend_on_the_signature(workshop: Workshop, key: SealingKey) -> None:
    """Signing again, as after a change of keys, leaves the history as it was."""
    again = sign_version(version(), key_for_directories(workshop, new_rsa_key()))
    assert version_digest(again) == version_digest(sign_version(version(), key))
    payload = base64.b64decode(json.loads(again)["payload"])
    assert version_digest(again) == hashlib.sha256(payload).hexdigest()


def test_what_is_signed_is_the_encoding_of_dsse(workshop: Workshop, key: SealingKey) -> None:
    """Another implementation of DSSE v1 verifies a version: PAE over type and payload, each with its length."""
    envelope = json.loads(sign_version(version(), key))
    kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
    message = b"DSSEv1 " + f"{len(kind)} {kind} {len(payload)} ".encode() + payload
    public = key.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(base64.b64decode(envelope["signature"]), message, ec.ECDSA(hashes.SHA256()))


def test_no_way_back(workshop: Workshop, key: SealingKey) -> None:
    """An older version, and the very same again, are refused: a node's copy only moves on."""
    first = sign_version(version(), key)
    second = sign_version(version(2, version_digest(first)), key)
    applied = AppliedVersion(2, version_digest(second))
    assert refusal_of(first, workshop, applied) == "directory-rollback"
    assert refusal_of(second, workshop, applied) == "directory-rollback"


def test_no_version_left_out(workshop: Workshop, key: SealingKey) -> None:
    """A gap is refused, at the beginning as well."""
    third = sign_version(version(3, "0" * 64), key)
    assert refusal_of(third, workshop, AppliedVersion(1, "a" * 64)) == "directory-gap"
    assert refusal_of(sign_version(version(2, "a" * 64), key), workshop) == "directory-gap"


def test_no_second_history(workshop: Workshop, key: SealingKey) -> None:
    """Another version of the same number, and one that follows on another, are the sign of a fork."""
    genuine, other = (sign_version(version(name=name), key) for name in ("Văn phòng Chính phủ", "Kẻ khác"))
    applied = AppliedVersion(1, version_digest(genuine))
    assert refusal_of(other, workshop, applied) == "directory-fork"
    assert refusal_of(sign_version(version(2, version_digest(other)), key), workshop, applied) == "directory-fork"


def test_an_expired_version_is_applied_with_a_warning(workshop: Workshop, key: SealingKey) -> None:
    """An old directory is better than none; the flag is for the log."""
    data = sign_version(version(), key)
    for delay, expired in ((timedelta(days=7, seconds=-1), False), (timedelta(days=7), True)):
        verified = verify_version(data, [workshop.national.root], AT + delay, after=None)
        assert verified.is_expired is expired
        assert verified.version == version()


def test_a_changed_payload_is_refused(workshop: Workshop, key: SealingKey) -> None:
    """One letter of one name, and the signature does not verify."""
    data = sign_version(version(), key)
    payload = base64.b64decode(json.loads(data)["payload"])
    forged = base64.b64encode(payload.replace(b"c-1", b"c-2")).decode()
    assert refusal_of(changed(data, payload=forged), workshop) == "directory-signature"
    assert refusal_of(changed(data, signature=base64.b64encode(bytes(70)).decode()), workshop) == "directory-signature"


def test_only_a_key_for_directories_signs_them(workshop: Workshop) -> None:
    """Keys for seals, receipts and TLS of the same authority do not make a directory, nor another authority's."""
    private, national = new_p256_key(), workshop.national
    public = private.public_key()
    for chain in (
        national.issue_seal(public, "c-1", [G22], AT),
        national.issue_receipts(public, "hub", AT),
        national.issue_server(public, ["127.0.0.2"], AT),
    ):
        data = sign_version(version(), SealingKey(private, chain))
        assert refusal_of(data, workshop) == "directory-certificate-usage"
    foreign = SealingKey(private, workshop.foreign.issue_directory(public, "hub", AT))
    assert refusal_of(sign_version(version(), foreign), workshop) == "directory-certificate-untrusted"


def test_an_expired_key_signs_no_directory(workshop: Workshop) -> None:
    """The signer's certificate must be valid when a node applies the version."""
    private = new_p256_key()
    chain = workshop.national.issue_directory(private.public_key(), "hub", AT - timedelta(days=4000))
    data = sign_version(version(), SealingKey(private, chain))
    assert refusal_of(data, workshop) == "directory-certificate-expired"


def test_a_weak_key_signs_no_directory(workshop: Workshop, key: SealingKey) -> None:
    """The rule for keys holds before their signature is looked at."""
    weak = rsa.generate_private_key(65537, 1024)
    issuing = workshop.national.seals
    chain = unrestricted_chain((issuing.certificate,), issuing.key, weak, extensions=as_seal())
    shown = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode() for certificate in chain]
    assert refusal_of(changed(sign_version(version(), key), certificates=shown), workshop) == "directory-key"


@pytest.mark.parametrize(
    "fields",
    [
        {"payloadType": "application/vnd.in-toto+json"},
        {"payload": "not base64!"},
        {"payload": 7},
        {"signature": None},
        {"certificates": []},
        {"certificates": ["AAAA"]},
        {"certificates": "AAAA"},
        {"more": "than there should be"},
    ],
    ids=str,
)
def test_another_form_is_refused(workshop: Workshop, key: SealingKey, fields: dict[str, Any]) -> None:
    """Fields of another kind, or others, are refused as the wrong form."""
    assert refusal_of(changed(sign_version(version(), key), **fields), workshop) == "directory-form"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000], ids=["empty", "list", "object", "bytes", "deep"]
)
def test_what_is_no_version_is_refused(workshop: Workshop, data: bytes) -> None:
    """Bytes of any kind are refused, not raised through."""
    assert refusal_of(data, workshop) == "directory-form"
    with pytest.raises(DirectoryRejected):
        version_digest(data)
