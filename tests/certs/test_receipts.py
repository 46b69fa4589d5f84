"""Receipts: one signature over many, each shown alone, by the party that the event happened at."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from certs import receipts as receipts_module
from certs.keys import new_p256_key
from certs.receipts import ReceiptTrust, require_witness, sign_receipts, verify_receipt
from certs.sealing_key import SealingKey
from certs.trust import SignerBinding, Trust
from certs.verified import Verified
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected, Unavailable
from schemas.receipt_codec import write_receipt
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt
from tests.certs import xmlsec
from tests.vectors.workshop import AT, G22, H23, Workshop, first, resigned, written

HUB = Issuer(IssuerKind.HUB, "Trục quốc gia")
OF_H23 = Issuer(IssuerKind.AGENCY, "H23")


def receipt(number: int = 1, issuer: Issuer = OF_H23) -> Receipt:
    """A consignment at H23 of some message of G22."""
    return Receipt(
        receipt_id=f"r-{number}",
        event=ReceiptEvent.CONTENT_CONSIGNMENT,
        issuer=issuer,
        message_id=f"{number:064x}",
        sender=G22,
        recipient=H23,
        occurred_at=AT + timedelta(microseconds=number),
    )


def salts() -> Iterator[str]:
    """Salts that tests can foretell."""
    return (f"{number:032x}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def h23(workshop: Workshop) -> SealingKey:
    return workshop.key_of(H23, workshop.national)


@pytest.fixture(scope="module")
def hub(workshop: Workshop) -> SealingKey:
    key = new_p256_key()
    return SealingKey(key, workshop.national.issue_receipts(key.public_key(), HUB.name, AT))


@pytest.fixture(scope="module")
def trust(workshop: Workshop) -> ReceiptTrust:
    return ReceiptTrust((workshop.national.root,), workshop.trust)


def signed(*receipts: Receipt, key: SealingKey) -> tuple[SignedReceipt, ...]:
    return sign_receipts(receipts, key, issued_at=AT, salts=salts().__next__)


def refusal_of(signed_receipt: SignedReceipt, trust: ReceiptTrust, at: datetime = AT) -> str:
    """The code with which the receipt is refused."""
    with pytest.raises(Rejected) as refusal:
        verify_receipt(signed_receipt, trust, at)
    return refusal.value.code


def test_a_receipt_comes_back_verified(h23: SealingKey, trust: ReceiptTrust) -> None:
    """Value, bytes, message, signer and time of issue come out of what was signed."""
    (one,) = signed(receipt(), key=h23)
    verified = verify_receipt(one, trust, AT)
    assert isinstance(verified, Verified)
    assert (verified.value, verified.data, verified.message_id) == (receipt(), one.receipt, receipt().message_id)
    assert (verified.signer_fingerprint, verified.signed_at) == (h23.fingerprint, AT)


@pytest.mark.parametrize("years", [-1, 30])
def test_nothing_is_signed_by_a_clock_beyond_the_certificate(h23: SealingKey, years: int) -> None:
    """A clock before or after the time of its own certificate signs nothing: it would hold nowhere, for good."""
    with pytest.raises(Unavailable) as refusal:
        sign_receipts([receipt()], h23, issued_at=AT + timedelta(days=365 * years))
    assert refusal.value.code == "clock-beyond-certificate"


def test_an_rsa_seal_key_signs_receipts(workshop: Workshop, trust: ReceiptTrust) -> None:
    """A node whose seal key is RSA signs its receipts with it."""
    issuer = Issuer(IssuerKind.AGENCY, "G22")
    (one,) = signed(receipt(issuer=issuer), key=workshop.g22)
    assert verify_receipt(one, trust, AT).value.issuer == issuer


def test_receipts_that_commit_together_share_one_proof(h23: SealingKey, trust: ReceiptTrust) -> None:
    """A hundred receipts have one proof, and each is verified by itself with it."""
    many = signed(*(receipt(number) for number in range(100)), key=h23)
    assert len({one.proof for one in many}) == 1
    assert [verify_receipt(one, trust, AT).value.receipt_id for one in many] == [f"r-{number}" for number in range(100)]


def test_the_signature_of_a_shared_proof_is_verified_once(
    h23: SealingKey, trust: ReceiptTrust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second receipt under a proof does not pay for its signature again."""
    one, other = signed(receipt(1), receipt(2), key=h23)
    verify_receipt(one, trust, AT)
    monkeypatch.setattr(receipts_module, "open_signature", _never)
    assert verify_receipt(other, trust, AT).value.receipt_id == "r-2"


def _never(*_: object) -> None:
    raise AssertionError("the signature was verified again")


def test_a_proof_says_nothing_of_the_other_receipts(h23: SealingKey) -> None:
    """A receipt shown with its proof shows digests of the rest, and their salts are other texts of chance."""
    one, other = sign_receipts([receipt(1), receipt(2)], h23, issued_at=AT)
    assert receipt(2).message_id.encode() not in one.proof
    again, _ = sign_receipts([receipt(1), receipt(2)], h23, issued_at=AT)
    assert _salt(one) != _salt(again)
    assert _salt(one) != _salt(other)
    assert len(_salt(one)) == 32


def _salt(one: SignedReceipt) -> str:
    return etree.fromstring(one.receipt).findtext("{*}Salt", "")


def test_libxmlsec_accepts_a_proof(workshop: Workshop, h23: SealingKey, hub: SealingKey, tmp_path: Path) -> None:
    """A court's expert can check a proof with common tools."""
    for key, issuer in ((h23, OF_H23), (hub, HUB)):
        (one,) = signed(receipt(issuer=issuer), key=key)
        assert xmlsec.verifies(one.proof, workshop.national.root, AT, tmp_path)
        assert not xmlsec.verifies(one.proof.replace(b"<Digest>", b"<Digest> "), workshop.national.root, AT, tmp_path)


def test_a_hub_signs_with_its_own_key(hub: SealingKey, trust: ReceiptTrust) -> None:
    """The receipt of a hub is signed by the key that its authority certified for the receipts of that hub."""
    (one,) = signed(receipt(issuer=HUB), key=hub)
    assert verify_receipt(one, trust, AT).value.issuer == HUB


def test_a_changed_receipt_is_not_in_the_proof(h23: SealingKey, trust: ReceiptTrust) -> None:
    """One character more or less in a receipt, and the proof does not list it."""
    (one,) = signed(receipt(), key=h23)
    for old, new in ((b"r-1", b"r-2"), (b"Consignment", b"Handover"), (b"</Receipt>", b"</Receipt>\n")):
        changed = dataclasses.replace(one, receipt=one.receipt.replace(old, new))
        assert refusal_of(changed, trust) == "receipt-not-in-proof"


def test_a_receipt_goes_with_its_own_proof(h23: SealingKey, trust: ReceiptTrust) -> None:
    """Another valid proof of the same party proves nothing of this receipt."""
    (one,), (other,) = signed(receipt(1), key=h23), signed(receipt(2), key=h23)
    assert refusal_of(SignedReceipt(one.receipt, other.proof), trust) == "receipt-not-in-proof"


def test_a_changed_proof_is_refused(h23: SealingKey, trust: ReceiptTrust) -> None:
    """Neither digests nor issuer nor time can be exchanged after signing."""
    (one,), (other,) = signed(receipt(1), key=h23), signed(receipt(2), key=h23)
    genuine, foreign = etree.fromstring(one.proof), etree.fromstring(other.proof)
    own, another = (root.findtext("{*}Digest", "").encode() for root in (genuine, foreign))
    assert refusal_of(SignedReceipt(other.receipt, one.proof.replace(own, another)), trust) == "proof-digest"
    assert refusal_of(SignedReceipt(one.receipt, one.proof.replace(b">H23<", b">G22<")), trust) == "proof-digest"
    later = one.proof.replace(b"T08:30:00.000000Z", b"T09:30:00.000000Z")
    assert refusal_of(SignedReceipt(one.receipt, later), trust) == "proof-digest"


def test_a_proof_without_signature_proves_nothing(h23: SealingKey, trust: ReceiptTrust) -> None:
    """The signature stripped, the proof is refused as such."""
    (one,) = signed(receipt(), key=h23)
    root = etree.fromstring(one.proof)
    root.remove(first(root, "ds:Signature"))
    assert refusal_of(SignedReceipt(one.receipt, etree.tostring(root)), trust) == "proof-missing"


def test_a_proof_holds_to_the_same_profile_as_a_seal(h23: SealingKey, trust: ReceiptTrust) -> None:
    """Algorithms off the list, smuggled objects and partial references are refused in proofs as in seals."""
    (one,) = signed(receipt(), key=h23)
    root = etree.fromstring(one.proof)
    first(root, "ds:CanonicalizationMethod").set("Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315")
    assert refusal_of(SignedReceipt(one.receipt, resigned(root, h23.private_key)), trust) == "proof-algorithm"
    root = etree.fromstring(one.proof)
    first(root, "ds:Reference").set("URI", "#seal")
    assert refusal_of(SignedReceipt(one.receipt, resigned(root, h23.private_key)), trust) == "proof-references"
    root = etree.fromstring(one.proof)
    etree.SubElement(first(root, "xades:QualifyingProperties"), "UnsignedProperties")
    assert refusal_of(SignedReceipt(one.receipt, written(root)), trust) == "proof-object"


def test_the_issuer_of_receipt_and_proof_is_one(workshop: Workshop, h23: SealingKey, trust: ReceiptTrust) -> None:
    """A receipt in another's name under one's own good proof is refused."""
    (one,) = signed(receipt(issuer=Issuer(IssuerKind.AGENCY, "G22")), key=workshop.g22)
    (own,) = signed(receipt(), key=h23)
    root = etree.fromstring(own.proof)
    digest = next(root.iter("{*}Digest"))
    digest.text = etree.fromstring(one.proof).findtext("{*}Digest")
    forged = SignedReceipt(one.receipt, resigned(root, h23.private_key))
    assert refusal_of(forged, trust) == "receipt-issuer"


def test_only_the_party_itself_attests(
    workshop: Workshop, h23: SealingKey, hub: SealingKey, trust: ReceiptTrust
) -> None:
    """Another agency's key, a node's in the hub's name, the hub's in an agency's: each refused for its own reason."""
    in_g22s_name = receipt(issuer=Issuer(IssuerKind.AGENCY, "G22"))
    assert refusal_of(signed(in_g22s_name, key=h23)[0], trust) == "signer-not-bound"
    assert refusal_of(signed(receipt(issuer=HUB), key=h23)[0], trust) == "proof-certificate-usage"
    assert refusal_of(signed(receipt(), key=hub)[0], trust) == "proof-certificate-usage"
    in_another_hubs_name = receipt(issuer=Issuer(IssuerKind.HUB, "Trục tỉnh Hải Dương"))
    assert refusal_of(signed(in_another_hubs_name, key=hub)[0], trust) == "receipt-signer"
    unknown = receipt(issuer=Issuer(IssuerKind.AGENCY, "H99"))
    assert refusal_of(signed(unknown, key=h23)[0], trust) == "agency-unknown"


def test_a_hub_of_another_authority_is_not_believed(workshop: Workshop, trust: ReceiptTrust) -> None:
    """Anybody can make an authority and certify a hub of the same name."""
    key = new_p256_key()
    stranger = SealingKey(key, workshop.foreign.issue_receipts(key.public_key(), HUB.name, AT))
    assert refusal_of(signed(receipt(issuer=HUB), key=stranger)[0], trust) == "proof-certificate-untrusted"


def test_an_agencys_authority_holds_for_its_prefix_in_receipts_too(workshop: Workshop, trust: ReceiptTrust) -> None:
    """The province's authority vouches for H23 and not for G22."""
    key = workshop.key_of(G22, workshop.provincial)
    in_g22s_name = receipt(issuer=Issuer(IssuerKind.AGENCY, "G22"))
    assert refusal_of(signed(in_g22s_name, key=key)[0], trust) == "anchor-prefix"


def test_a_receipt_outlives_the_agencys_standing(h23: SealingKey, trust: ReceiptTrust) -> None:
    """An agency suspended or retired by now did receive what it attested; its key is bound, so the receipt counts."""
    (one,) = signed(receipt(), key=h23)
    for status in (EntryStatus.SUSPENDED, EntryStatus.RETIRED):

        def binding_of(code: AgencyCode, status: EntryStatus = status) -> SignerBinding:
            return SignerBinding(code, status, frozenset({h23.fingerprint}))

        standing = dataclasses.replace(trust, agencies=Trust(trust.agencies.anchors, binding_of))
        assert verify_receipt(one, standing, AT).value == receipt()


def test_the_time_asked_for_decides(hub: SealingKey, trust: ReceiptTrust) -> None:
    """A receipt is judged at the time given, also when its proof was opened before."""
    (one,) = signed(receipt(issuer=HUB), key=hub)
    assert verify_receipt(one, trust, AT).value.issuer == HUB
    assert refusal_of(one, trust, AT + timedelta(days=4000)) == "proof-certificate-expired"


def test_a_proof_has_one_issuer(hub: SealingKey) -> None:
    """Receipts of two parties, or none at all, make no proof: a mistake of the caller."""
    with pytest.raises(ValueError, match="one issuer"):
        signed(receipt(1), receipt(2, issuer=HUB), key=hub)
    with pytest.raises(ValueError, match="one issuer"):
        signed(key=hub)


def test_what_is_no_receipt_is_refused(h23: SealingKey, trust: ReceiptTrust) -> None:
    """Bytes of any kind in either half are refused, not raised through."""
    (one,) = signed(receipt(), key=h23)
    for half in (b"", b"\xff\xfe", b"<Proof/>", one.proof[:-1], one.receipt):
        with pytest.raises(Rejected):
            verify_receipt(SignedReceipt(one.receipt, half), trust, AT)
        with pytest.raises(Rejected):
            verify_receipt(SignedReceipt(half[:-1], one.proof), trust, AT)


@pytest.mark.parametrize("event", ReceiptEvent)
def test_every_event_is_signed_and_verified_by_its_party(
    event: ReceiptEvent, h23: SealingKey, hub: SealingKey, trust: ReceiptTrust
) -> None:
    """Each event of the design, those of relays too, comes back verified from the party at which it happens."""
    at_recipient = event.startswith("Content")
    told = dataclasses.replace(
        receipt(issuer=OF_H23 if at_recipient else HUB),
        event=event,
        recipient=None if event.startswith("Submission") else H23,
        reason=Reason("relay-down", "Trục đích không trả lời.") if event.endswith(("Failure", "Rejection")) else None,
    )
    (one,) = signed(told, key=h23 if at_recipient else hub)
    verified = verify_receipt(one, trust, AT).value
    assert verified == told
    require_witness(verified)


def test_a_proof_shown_reveals_how_many_others_there_are_and_nothing_of_them(h23: SealingKey) -> None:
    """Proofs of a receipt among quite different others differ in digests and signature alone; guesses find nothing."""
    one = receipt(1)
    others = [receipt(2), dataclasses.replace(receipt(3), document_id="G22,2026/11/21,61/MẬT", recipient=G22)]
    plain, telling = (signed(one, other, key=h23)[0] for other in others)
    assert _bared(plain.proof) == _bared(telling.proof)
    assert plain.proof.count(b"<Digest>") == 2
    # Whoever guesses the other's content, and knows the salt of the one that is shown, has not its digest.
    guess = hashlib.sha256(write_receipt(others[0], _salt(plain))).hexdigest()
    assert guess.encode() not in plain.proof


def _bared(proof: bytes) -> bytes:
    """A proof without digests, and without what is computed from them."""
    return re.sub(rb"<((?:ds:)?(?:Digest|DigestValue|SignatureValue))>[^<]*<", rb"<\1><", proof)
