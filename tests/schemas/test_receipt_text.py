"""A receipt known by its text: what that reads, the parser reads the same; what it does not know, the parser judges."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.receipt_codec import read_receipt, write_receipt
from schemas.receipt_text import receipt_in
from schemas.receipts import Reason, Receipt, ReceiptEvent
from tests.schemas.test_receipts import AT, CONSIGNMENT, GOOD, HUB, SALT, receipts, salts

ACCEPTANCE = Receipt(
    receipt_id="f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    event=ReceiptEvent.SUBMISSION_ACCEPTANCE,
    issuer=HUB,
    message_id="3a" * 32,
    sender=CONSIGNMENT.sender,
    document_id="G22,2026/11/21,7/VPCP-KSTT, số 1",
    occurred_at=AT,
    recipients_digest="7f" * 32,
    recipients_count=1,
    directory_version=0,
)
FAILURE = replace(
    CONSIGNMENT, event=ReceiptEvent.CONTENT_HANDOVER_FAILURE, reason=Reason("not-ours", "Không phải của đơn vị")
)

#: What text and parser could take for different things, or one of them for nothing.
PIECES = [
    *(b"<", b">", b"&", b"&amp;", b"&#13;", b"&#x41;", b"]]>", b'"', b"'", b"\r", b"\n", b" ", b"\t", b"\x00", b"\x1f"),
    *(b"\x7f", "\x85".encode(), "\xa0".encode(), "\u2028".encode(), "\ufffe".encode(), b"\xed\xa0\x80", b"\xff"),
    *(b"+1", b"01", b"-0", b"9" * 19, "١".encode(), b"1.0", b"A", b"a", b"-", b".", b"x" * 256),
    *(b"<Salt>", b"</Salt>", b"<Recipient></Recipient>", b"<DocumentId></DocumentId>", b"<DocumentId/>", b' a="b"'),
]


def outcome(data: bytes) -> Receipt | str:
    try:
        return read_receipt(data)
    except Rejected as error:
        return error.code


def by_the_parser(data: bytes) -> Receipt | str:
    """What is read of `data` where a line break behind it, which means nothing, keeps it from being known by text."""
    assert receipt_in(data + b"\n") is None
    return outcome(data + b"\n")


@pytest.mark.parametrize("receipt", [CONSIGNMENT, ACCEPTANCE, FAILURE])
def test_what_nodes_and_hubs_write_is_known_by_its_text(receipt: Receipt) -> None:
    """Receipts as they travel every day are read without a parser."""
    assert receipt_in(write_receipt(receipt, SALT)) == receipt


@settings(max_examples=50)
@given(receipts(), salts)
def test_the_parser_reads_the_same(receipt: Receipt, salt: str) -> None:
    """Of any receipt that is written, the text says what the parser says, or nothing."""
    written = write_receipt(receipt, salt)
    assert receipt_in(written) in (None, receipt)
    assert by_the_parser(written) == receipt


@given(st.sampled_from([CONSIGNMENT, ACCEPTANCE, FAILURE]), st.data())
def test_what_is_spoilt_is_read_as_the_parser_reads_it(receipt: Receipt, data: st.DataObject) -> None:
    """Whatever is put in or cut out of a receipt: its text gives it no other value, and lets nothing more through."""
    good = write_receipt(receipt, SALT)
    begin = data.draw(st.integers(0, len(good)))
    end = begin + data.draw(st.integers(0, 3))
    spoilt = good[:begin] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=3)) + good[end:]
    if not spoilt.endswith(b">"):
        return
    assert outcome(spoilt) == by_the_parser(spoilt)


@pytest.mark.parametrize("place", [b"<ReceiptId>", b"<MessageId>", b"<DocumentId>", b"<RecipientsCount>", b"<Salt>"])
def test_no_text_is_taken_that_the_parser_refuses(place: bytes) -> None:
    """At the beginning of a value, each piece that may mean something to one of the two means the same to both."""
    good = write_receipt(ACCEPTANCE, SALT)
    for piece in PIECES:
        spoilt = good.replace(place, place + piece)
        assert outcome(spoilt) == by_the_parser(spoilt), piece


def test_a_receipt_whose_event_lacks_what_it_needs_is_refused_with_its_line() -> None:
    """The text alone is not enough: what the writer refuses, the reader does, and says where."""
    with pytest.raises(Rejected) as caught:
        read_receipt(GOOD.replace(b"<Recipient>H23</Recipient>", b""))
    assert (caught.value.code, caught.value.line) == ("recipient-missing", 1)


def test_a_text_that_looks_like_namespaces_is_the_parsers_to_judge() -> None:
    """Above its limit the parser counts what looks like a declaration in texts as well: nothing is let past it."""
    written = write_receipt(replace(FAILURE, reason=Reason("not-ours", " xmlns=" * 1001)), SALT)
    assert receipt_in(written) is None
    assert outcome(written) == "too-many-namespaces"
