"""Whatever bytes arrive, a reader gives a value or the one family of errors: nothing else escapes from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, AnchorEntry, DirectoryVersion
from schemas.directory_codec import read_version, write_version
from schemas.errors import Rejected
from schemas.receipt_codec import parse_proof, read_proof, read_receipt, write_proof, write_receipt
from schemas.receipts import Issuer, IssuerKind, Receipt, ReceiptEvent
from schemas.travel import parse_envelope, read_envelope, write_envelope
from tests.schemas.samples import DIGEST, FULL_ENVELOPE

AT = datetime(2026, 11, 21, tzinfo=UTC)
HUB = Issuer(IssuerKind.HUB, "hub")
RECEIPT = Receipt(
    receipt_id="r",
    event=ReceiptEvent.SUBMISSION_ACCEPTANCE,
    issuer=HUB,
    message_id=DIGEST,
    sender=AgencyCode("G22"),
    occurred_at=AT,
)
VERSION = DirectoryVersion(
    number=1,
    previous=DIGEST,
    issued_at=AT,
    expires_at=AT,
    agencies=(AgencyEntry(code=AgencyCode("G22"), name="VPCP", connection="c"),),
    anchors=(AnchorEntry(certificate=b"x", prefixes=("G22",)),),
)

READERS: list[tuple[bytes, Callable[[bytes], object]]] = [
    (write_envelope(FULL_ENVELOPE), lambda data: read_envelope(parse_envelope(data))),
    (write_receipt(RECEIPT, "0f" * 16), read_receipt),
    (write_proof([DIGEST], issuer=HUB, issued_at=AT), lambda data: read_proof(parse_proof(data))),
    (write_version(VERSION), read_version),
]

#: Pieces that mean something to a parser, besides any bytes at all.
PIECES = [
    *(
        b"<",
        b">",
        b"&",
        b"]]>",
        b"<!--",
        b"-->",
        b"<!DOCTYPE a>",
        b"<?a?>",
        b"<![CDATA[",
        b"&#0;",
        b"&#x110000;",
        b"&lt;",
    ),
    *(b' xmlns="u"', b' xmlns:edXML="u"', b' Id="a"', b' xml:id="a"', b"<a/>", b"</edXML>", b"\xff\xfe", b"\x00"),
    *(b"{", b"}", b"[", b'"', b":", b",", b"null", b"1e999", b"-0", b"\\ud800", b"99999999999999999999"),
]


@pytest.mark.parametrize(("good", "read"), READERS, ids=["envelope", "receipt", "proof", "directory"])
@settings(max_examples=150)
@given(data=st.data())
def test_spoilt_bytes_are_read_or_refused(good: bytes, read: Callable[[bytes], object], data: st.DataObject) -> None:
    """A few bytes put in, cut out or written over make no reader fail in another way than by refusing."""
    spoilt = good
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(spoilt)))
        end = begin + data.draw(st.integers(0, 20))
        spoilt = spoilt[:begin] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=8)) + spoilt[end:]
    refusal = None
    try:
        value = read(spoilt)
    except Rejected as error:
        refusal = error
    assert refusal.code if refusal else value


@pytest.mark.parametrize(("good", "read"), READERS, ids=["envelope", "receipt", "proof", "directory"])
def test_bytes_cut_short_are_refused(good: bytes, read: Callable[[bytes], object]) -> None:
    """A message that lost its end, wherever, is never taken for a whole one."""
    for length in range(0, len(good), 7):
        with pytest.raises(Rejected):
            read(good[:length])
