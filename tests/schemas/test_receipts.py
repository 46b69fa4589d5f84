"""Receipts and proofs: what is written reads back the same, and only what is in form is either."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.codes import AgencyCode
from schemas.errors import LimitExceeded, Rejected
from schemas.instants import instant_text, parse_instant
from schemas.namespaces import DS
from schemas.receipt_codec import (
    PROOF_LIMITS,
    RECEIPT_LIMITS,
    parse_proof,
    read_proof,
    read_receipt,
    write_proof,
    write_receipt,
)
from schemas.receipts import Issuer, IssuerKind, Proof, Reason, Receipt, ReceiptEvent
from schemas.validation import XSD_FOLDER
from tests.schemas.strategies import agency_codes, carried_texts, sha256_hex

SALT = "0f" * 16
AT = datetime(2026, 11, 21, 8, 30, 0, 42, tzinfo=UTC)
HUB = Issuer(IssuerKind.HUB, "trục quốc gia")

CONSIGNMENT = Receipt(
    receipt_id="r-1",
    event=ReceiptEvent.CONTENT_CONSIGNMENT,
    issuer=Issuer(IssuerKind.AGENCY, "H23"),
    message_id="3a" * 32,
    sender=AgencyCode("G22"),
    recipient=AgencyCode("H23"),
    occurred_at=AT,
)

zones = st.sampled_from([UTC, timezone(timedelta(hours=7))])
instants = st.builds(
    lambda micros, zone: (AT + timedelta(microseconds=micros)).astimezone(zone), st.integers(0, 2**55), zones
)
labels = carried_texts().filter(bool)
issuers = st.builds(Issuer, st.just(IssuerKind.HUB), labels) | st.builds(
    Issuer, st.just(IssuerKind.AGENCY), agency_codes().map(str)
)
salts = st.binary(min_size=16, max_size=64).map(bytes.hex)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Receipts of every event, with what that event needs and whatever else it may have."""
    event = draw(st.sampled_from(ReceiptEvent))
    reason = st.builds(Reason, st.from_regex(r"[a-z]{1,9}(-[a-z0-9]{1,9}){0,3}", fullmatch=True), carried_texts())
    recipient = agency_codes()
    if event.startswith("Submission"):
        recipient = st.none()
    elif event.startswith("Relay"):
        recipient = st.none() | recipient
    count = st.none() | st.integers(0, 2**63 - 1)
    return Receipt(
        receipt_id=draw(labels),
        event=event,
        issuer=draw(issuers),
        message_id=draw(sha256_hex()),
        sender=draw(agency_codes()),
        recipient=draw(recipient),
        document_id=draw(st.none() | carried_texts()),
        occurred_at=draw(instants),
        reason=draw(reason if event.endswith(("Failure", "Rejection")) else st.none() | reason),
        recipients_digest=draw(st.none() | sha256_hex()),
        recipients_count=draw(count),
        directory_version=draw(count),
    )


@given(receipts(), salts)
def test_a_receipt_reads_back_the_same(receipt: Receipt, salt: str) -> None:
    """Every receipt survives being written and read, and its bytes are their own canonical form."""
    data = write_receipt(receipt, salt)
    assert read_receipt(data) == receipt
    assert etree.tostring(etree.fromstring(data), method="c14n", exclusive=True) == data


@given(st.lists(sha256_hex(), min_size=1, max_size=5, unique=True), issuers, instants)
def test_a_proof_reads_back_the_same(digests: list[str], issuer: Issuer, issued_at: datetime) -> None:
    """Every proof survives, its digests in their order, its bytes canonical."""
    data = write_proof(digests, issuer=issuer, issued_at=issued_at)
    assert read_proof(parse_proof(data)) == Proof(issuer, issued_at, tuple(digests))
    assert etree.tostring(etree.fromstring(data), method="c14n", exclusive=True) == data


@given(receipts(), salts)
def test_a_second_validator_accepts_what_is_written(receipt: Receipt, salt: str) -> None:
    """xmlschema finds each receipt and its proof valid too."""
    for data in (write_receipt(receipt, salt), write_proof([receipt.message_id], issuer=HUB, issued_at=AT)):
        assert AGAIN.is_valid(etree.fromstring(data))


AGAIN = xmlschema.XMLSchema(XSD_FOLDER / "receipt.xsd", allow="local")


def test_the_salt_alone_changes_the_bytes() -> None:
    """Two equal receipts with salts of their own have digests of their own."""
    assert write_receipt(CONSIGNMENT, SALT) != write_receipt(CONSIGNMENT, "1f" * 16)
    assert write_receipt(CONSIGNMENT, SALT) == write_receipt(CONSIGNMENT, SALT)


def test_times_are_written_in_utc_to_the_microsecond() -> None:
    """An instant has one text, whatever zone it came in; a naive time is a program's mistake."""
    hanoi = AT.astimezone(timezone(timedelta(hours=7)))
    assert instant_text(hanoi) == "2026-11-21T08:30:00.000042Z"
    assert parse_instant("2026-11-21T08:30:00.000042Z") == AT
    with pytest.raises(ValueError, match="naive"):
        write_receipt(replace(CONSIGNMENT, occurred_at=datetime(2026, 11, 21)), SALT)  # noqa: DTZ001 - that is the mistake


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T08:30:00Z",
        "2026-11-21T08:30:00.000042",
        "2026-11-21T08:30:00.000042+00:00",
        "2026-11-21T15:30:00.000042+07:00",
        "2026-11-21 08:30:00.000042Z",
        "2026-02-30T08:30:00.000042Z",
        "2026-11-21T24:00:00.000000Z",
        "20261121T083000.000042Z",
        "",
    ],
)
def test_an_instant_has_one_form(text: str) -> None:
    """Other spellings of ISO 8601, and days that never were, are no instants here."""
    with pytest.raises(ValueError, match=r"."):
        parse_instant(text)


RECEIPTS: list[tuple[str, str, dict[str, Any]]] = [
    ("label-malformed", "ReceiptId", {"receipt_id": ""}),
    ("label-malformed", "ReceiptId", {"receipt_id": "x" * 256}),
    ("label-malformed", "Issuer", {"issuer": Issuer(IssuerKind.HUB, "")}),
    ("malformed-code", "Issuer", {"issuer": Issuer(IssuerKind.AGENCY, "h23")}),
    ("digest-malformed", "MessageId", {"message_id": "3A" * 32}),
    ("digest-malformed", "RecipientsDigest", {"recipients_digest": ""}),
    ("count-malformed", "RecipientsCount", {"recipients_count": -1}),
    ("count-malformed", "DirectoryVersion", {"directory_version": 2**63}),
    ("reason-code-malformed", "Reason", {"reason": Reason('x" y="', "")}),
    ("recipient-missing", "Recipient", {"recipient": None}),
    ("recipient-unexpected", "Recipient", {"event": ReceiptEvent.SUBMISSION_ACCEPTANCE}),
    ("reason-missing", "Reason", {"event": ReceiptEvent.CONTENT_HANDOVER_FAILURE}),
    ("text-not-carried", "DocumentId", {"document_id": "a\rb"}),
    ("text-not-carried", "Reason", {"reason": Reason("x", "\x00")}),
]


@pytest.mark.parametrize(("code", "element", "changes"), RECEIPTS)
def test_what_is_no_receipt_is_not_written(code: str, element: str, changes: dict[str, Any]) -> None:
    """The writer refuses what the reader would, so that nothing is signed that no one can read."""
    with pytest.raises(Rejected) as caught:
        write_receipt(replace(CONSIGNMENT, **changes), SALT)
    assert (caught.value.code, caught.value.element) == (code, element)


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_id": "x", "recipients_count": 0, "directory_version": 0},
        {"receipt_id": "x" * 255, "recipients_count": 2**63 - 1},
        {"issuer": Issuer(IssuerKind.HUB, "x" * 255)},
    ],
)
def test_what_meets_a_bound_exactly_is_a_receipt(changes: dict[str, Any]) -> None:
    """The writer's rules and the XSD agree on the largest and the smallest that is allowed."""
    receipt = replace(CONSIGNMENT, **changes)
    assert read_receipt(write_receipt(receipt, SALT)) == receipt


@pytest.mark.parametrize("salt", ["", "0f" * 15, "0F" * 16, "0f" * 65, "xy" * 16])
def test_a_salt_is_128_bits_at_least(salt: str) -> None:
    """A salt that could be guessed is refused."""
    with pytest.raises(Rejected) as caught:
        write_receipt(CONSIGNMENT, salt)
    assert caught.value.code == "salt-malformed"


GOOD = write_receipt(CONSIGNMENT, SALT)


@pytest.mark.parametrize(
    ("code", "element", "data"),
    [
        ("not-a-receipt", "Receipt", GOOD.replace(b"urn:congvan:receipt:1", b"urn:congvan:receipt:2")),
        ("not-a-receipt", "Proof", write_proof(["3a" * 32], issuer=HUB, issued_at=AT)),
        ("schema-violation", "Event", GOOD.replace(b"ContentConsignment", b"ContentDelivered")),
        ("schema-violation", "MessageId", GOOD.replace(b"3a3a", b"3A3A", 1)),
        ("schema-violation", "OccurredAt", GOOD.replace(b".000042Z", b"Z")),
        ("schema-violation", "Salt", GOOD.replace(b"0f" * 16, b"0f" * 15)),
        ("schema-violation", "Issuer", GOOD.replace(b'kind="agency"', b'kind="node"')),
        ("value-malformed", "OccurredAt", GOOD.replace(b"2026-11-21", b"2026-11-31")),
        ("malformed-code", "Sender", GOOD.replace(b">G22<", b">g22<")),
        ("malformed-code", "Issuer", GOOD.replace(b'"agency">H23<', b'"agency">h23<')),
        ("recipient-missing", "Recipient", GOOD.replace(b"<Recipient>H23</Recipient>", b"")),
        ("comment-forbidden", None, GOOD.replace(b"H23", b"H<!-- -->23")),
        ("doctype-forbidden", None, b"<!DOCTYPE Receipt>" + GOOD),
        ("encoding-not-utf-8", None, GOOD.decode().encode("utf-16")),
    ],
)
def test_what_is_no_receipt_is_not_read(code: str, element: str | None, data: bytes) -> None:
    """Each departure from the form is refused for its own reason, with the element."""
    with pytest.raises(Rejected) as caught:
        read_receipt(data)
    assert (caught.value.code, caught.value.element) == (code, element)


def test_a_receipt_is_short() -> None:
    """A receipt of more than 64 KiB is neither written nor read; one of just as much is both."""
    room = RECEIPT_LIMITS.envelope_bytes - len(write_receipt(replace(CONSIGNMENT, document_id=""), SALT))
    receipt = replace(CONSIGNMENT, document_id="x" * room)
    assert read_receipt(write_receipt(receipt, SALT)) == receipt
    with pytest.raises(LimitExceeded):
        write_receipt(replace(CONSIGNMENT, document_id="x" * (room + 1)), SALT)
    with pytest.raises(LimitExceeded):
        read_receipt(GOOD.replace(b"</MessageId>", b"</MessageId>" + b" " * 66_000))


@pytest.mark.parametrize(
    ("code", "digests"),
    [("proof-empty", []), ("digest-repeated", ["3a" * 32, "3a" * 32]), ("digest-malformed", ["3a" * 31])],
)
def test_what_is_no_proof_is_not_written(code: str, digests: list[str]) -> None:
    """A proof signs at least one receipt, each once."""
    with pytest.raises(Rejected) as caught:
        write_proof(digests, issuer=HUB, issued_at=AT)
    assert caught.value.code == code


PROOF = write_proof(["3a" * 32, "7f" * 32], issuer=HUB, issued_at=AT)
SIGNATURE = f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo/></ds:Signature>'.encode()


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("not-a-proof", GOOD),
        ("signature-missing", PROOF),
        ("signature-misplaced", PROOF.replace(b"<IssuedAt>", SIGNATURE + b"<IssuedAt>")),
        ("signature-repeated", PROOF.replace(b"</Proof>", SIGNATURE * 2 + b"</Proof>")),
        ("signature-not-xmldsig", PROOF.replace(b"</Proof>", b"<Signature/></Proof>")),
        ("schema-violation", PROOF.replace(b"</Proof>", b"<Digest>3a</Digest>" + SIGNATURE + b"</Proof>")),
        ("digest-repeated", PROOF.replace(b"7f", b"3a").replace(b"</Proof>", SIGNATURE + b"</Proof>")),
        ("value-malformed", PROOF.replace(b"-11-21", b"-13-21").replace(b"</Proof>", SIGNATURE + b"</Proof>")),
    ],
)
def test_what_is_no_proof_is_not_read(code: str, data: bytes) -> None:
    """A proof has its form, and its one Signature last."""
    with pytest.raises(Rejected) as caught:
        read_proof(parse_proof(data, require_signature=True))
    assert caught.value.code == code


def test_a_signed_proof_reads_like_the_unsigned_one() -> None:
    """The Signature is not part of what a proof says."""
    signed = PROOF.replace(b"</Proof>", SIGNATURE + b"</Proof>")
    assert read_proof(parse_proof(signed, require_signature=True)) == read_proof(parse_proof(PROOF))


def test_a_proof_covers_many_receipts() -> None:
    """A proof of 40,000 receipts is within the limits, which a receipt's own are not widened for."""
    digests = [f"{number:064x}" for number in range(40_000)]
    data = write_proof(digests, issuer=HUB, issued_at=AT)
    assert RECEIPT_LIMITS.envelope_bytes < len(data) <= PROOF_LIMITS.envelope_bytes
    assert read_proof(parse_proof(data)).digests == tuple(digests)
