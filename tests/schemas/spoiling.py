"""Good envelopes laid out one element a line, and ways to spoil one thing in them."""

from __future__ import annotations

import pytest
from lxml import etree

from schemas.errors import Rejected
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.namespaces import DS
from schemas.travel import parse_envelope, read_envelope, write_envelope
from tests.schemas.samples import DOCUMENT_ENVELOPE, STATUS_ENVELOPE

SIGNATURE = f'<Signature xmlns="{DS}"><SignedInfo/></Signature>'.encode()


def laid_out(data: bytes) -> bytes:
    """The same envelope with one element a line."""
    root = etree.fromstring(data)
    etree.indent(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=False)


DOCUMENT = laid_out(write_envelope(DOCUMENT_ENVELOPE))
STATUS = laid_out(write_envelope(STATUS_ENVELOPE))


def refused(data: bytes, limits: Limits = DEFAULT_LIMITS, *, require_signature: bool = False) -> Rejected:
    """The refusal of `data`, by the parser or the reader."""
    with pytest.raises(Rejected) as caught:
        read_envelope(parse_envelope(data, limits, require_signature=require_signature))
    return caught.value


def line_of(data: bytes, mark: bytes) -> int:
    return data[: data.index(mark)].count(b"\n") + 1


def put(before: bytes, what: bytes, data: bytes = DOCUMENT) -> bytes:
    """`data` with `what` put in front of the first `before`."""
    assert before in data
    return data.replace(before, what + before, 1)


def swap(old: bytes, new: bytes, data: bytes = DOCUMENT) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


def without(begin: bytes, end: bytes, data: bytes = DOCUMENT) -> bytes:
    """`data` without what stands from each `begin` to the next `end`."""
    assert begin in data
    while begin in data:
        at = data.index(begin)
        data = data[:at] + data[data.index(end, at) + len(end) :]
    return data
