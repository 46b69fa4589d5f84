"""Seals and proofs known by their text open as with the parser; what does not hold is the parser's to refuse."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime

import pytest

from certs import receipts, unsealing
from certs.keys import new_rsa_key
from certs.receipts import open_receipt, sign_receipts
from certs.sealing import seal
from certs.unsealing import OpenedSeal, open_seal
from schemas.envelope import Envelope
from schemas.errors import Rejected
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.message import Document, StatusCode
from schemas.receipts import SignedReceipt
from schemas.travel import write_envelope
from tests.schemas.samples import DOCUMENT_ENVELOPE, STATUS, STATUS_ENVELOPE
from tests.schemas.test_receipts import CONSIGNMENT
from tests.vectors.workshop import AT, G22, H23, Workshop, envelope_from


@pytest.fixture(scope="module")
def good(workshop: Workshop) -> bytes:
    """As a node seals it."""
    return seal(envelope_from(), workshop.key_of(G22, workshop.national), AT).data


def _outcome(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[object, ...]:
    try:
        opened = open_seal(data, limits)
    except Rejected as error:
        return error.code, error.element
    return _values(opened)


def _values(opened: OpenedSeal) -> tuple[Envelope, str, str, str, datetime]:
    signature = opened._signature
    return opened._envelope, opened.message_id, opened.certificate_fingerprint, signature.digest, signature.signed_at


def _by_the_parser(data: bytes) -> tuple[object, ...]:
    """What becomes of `data` where a line break behind it, which means nothing, keeps it from being known by text."""
    return _outcome(data + b"\n")


def test_a_seal_as_nodes_make_it_opens_without_the_parser(good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is what the parser finds in it; with a line break behind it the parser is asked."""
    found = _by_the_parser(good)

    def parser(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(unsealing, "parse_envelope", parser)
    assert _outcome(good) == found
    with pytest.raises(AssertionError):
        open_seal(good + b"\n")


def test_a_changed_byte_means_the_same_to_both(good: bytes) -> None:
    """Anywhere in message or signature: what is refused is refused by the same code at the same place."""
    chance = random.Random(7)
    refused = set()
    for place in chance.sample(range(len(good)), 150):
        changed = good[:place] + bytes([good[place] ^ (1 << chance.randrange(7))]) + good[place + 1 :]
        outcome = _outcome(changed)
        assert outcome == _by_the_parser(changed), place
        refused.add(outcome[0])
    assert {"seal-digest", "seal-signature", "schema-violation"} <= refused


def test_a_seal_that_stands_elsewhere_is_not_known(good: bytes) -> None:
    """Moved, doubled or taken out, it is refused by the code that the parser has for it."""
    begin, end = good.index(b"<ds:Signature "), good.index(b"</ds:Signature>") + len(b"</ds:Signature>")
    signature, unsigned = good[begin:end], good[:begin] + good[end:]
    before_extension = unsigned.index(b"<cv:Extension")
    for changed, code in (
        (unsigned[:before_extension] + signature + unsigned[before_extension:], "seal-misplaced"),
        (good[:end] + signature + good[end:], "id-repeated"),
        (unsigned, "seal-missing"),
    ):
        assert _outcome(changed)[0] == code
        assert _outcome(changed) == _by_the_parser(changed)


def test_the_seal_counts_for_the_limits(good: bytes) -> None:
    """An envelope that is within a limit only without its seal is refused as ever."""
    limits = Limits(envelope_bytes=len(good) - 1)
    assert _outcome(good, limits)[0] == "message-too-large"
    assert _outcome(good, Limits(envelope_bytes=len(good))) == _outcome(good)


def test_what_is_known_by_its_text_is_sealed_as_with_the_parser(workshop: Workshop) -> None:
    """To the byte the same seal, whose algorithm leaves nothing to chance; a line break behind asks the parser."""
    unsigned, key = write_envelope(envelope_from()), workshop.key_of(G22, workshop.national, key=new_rsa_key())
    known, parsed = seal(unsigned, key, AT), seal(unsigned + b"\n", key, AT)
    assert (known.data + b"\n", known.message_id) == (parsed.data, parsed.message_id)


@pytest.fixture(scope="module")
def signed(workshop: Workshop) -> SignedReceipt:
    """Of two receipts under one proof the first."""
    other = replace(CONSIGNMENT, receipt_id="another")
    return sign_receipts([CONSIGNMENT, other], workshop.key_of(H23, workshop.national), issued_at=AT)[0]


def _opened(signed: SignedReceipt, behind: bytes = b"") -> tuple[object, ...]:
    try:
        opened = open_receipt(SignedReceipt(signed.receipt, signed.proof + behind))
    except Rejected as error:
        return error.code, error.element
    proof = opened._opened
    return opened.receipt, proof.proof, proof.signature.fingerprint, proof.signature.digest, proof.signature.signed_at


def test_a_proof_as_hubs_and_nodes_make_it_opens_without_the_parser(
    signed: SignedReceipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lists and who signed it is what the parser finds."""
    found = _opened(signed, b"\n")
    receipts._opened_proof.cache_clear()
    monkeypatch.delattr(receipts, "parse_proof")
    assert _opened(signed) == found
    assert found[0] == CONSIGNMENT


def test_a_changed_byte_of_a_proof_means_the_same_to_both(signed: SignedReceipt) -> None:
    """Anywhere in list or signature: what is refused is refused by the same code at the same place."""
    chance = random.Random(7)
    refused = set()
    for place in chance.sample(range(len(signed.proof)), 100):
        changed = signed.proof[:place] + bytes([signed.proof[place] ^ (1 << chance.randrange(7))])
        broken = SignedReceipt(signed.receipt, changed + signed.proof[place + 1 :])
        outcome = _opened(broken)
        assert outcome == _opened(broken, b"\n"), place
        refused.add(outcome[0])
    assert {"proof-digest", "proof-signature"} <= refused


def test_how_much_there_is_to_look_up_is_told_by_what_a_message_names(workshop: Workshop) -> None:
    """Agencies and messages are counted; where the record or a rule says whom it is for, nobody can tell."""
    key = workshop.key_of(G22, workshop.national)
    taken_back = replace(STATUS_ENVELOPE, message=replace(STATUS, status_code=StatusCode.TAKEN_BACK))
    answering = replace(DOCUMENT_ENVELOPE, extension=replace(DOCUMENT_ENVELOPE.extension, about=("3a" * 32,)))
    assert isinstance(DOCUMENT_ENVELOPE.message, Document)
    recipients = len(DOCUMENT_ENVELOPE.message.recipients)
    named = [
        open_seal(seal(envelope, key, AT).data).named
        for envelope in (DOCUMENT_ENVELOPE, answering, STATUS_ENVELOPE, taken_back)
    ]
    assert named == [recipients, recipients + 1, 2, None]
