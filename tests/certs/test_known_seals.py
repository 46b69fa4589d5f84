"""A seal known by its text: it opens as it does with the parser, and what does not hold is the parser's to refuse."""

from __future__ import annotations

import random
from datetime import datetime

import pytest

from certs import unsealing
from certs.sealing import seal
from certs.unsealing import OpenedSeal, open_seal
from schemas.envelope import Envelope
from schemas.errors import Rejected
from schemas.limits import DEFAULT_LIMITS, Limits
from tests.vectors.workshop import AT, G22, Workshop, envelope_from


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
