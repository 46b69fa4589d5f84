"""The envelope that travels: the one form that is sealed, stored and forwarded as bytes.

`write_envelope` gives the unsigned bytes, `parse_envelope` a checked tree, `read_envelope` the values in it. Sealing
and verifying stand in the package `certs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import LimitExceeded
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.namespaces import QCVN
from schemas.signature_place import require_signature_last
from schemas.travel_reader import read_envelope
from schemas.travel_writer import write_envelope
from schemas.validation import Grammar
from schemas.xml import Element, element_path, fault_at, line_of, parse, selecting

__all__ = ["parse_envelope", "read_envelope", "write_envelope"]

_GRAMMAR = Grammar("travel.xsd")

_HEADER = f"{{{QCVN}}}edXMLEnvelope/{{{QCVN}}}edXMLHeader"
_RECIPIENTS = selecting("/q:edXML/q:edXMLEnvelope/q:edXMLHeader/q:MessageHeader/q:To", q=QCVN)
_REFERENCES = selecting("/q:edXML/q:edXMLEnvelope/q:edXMLBody/q:edXMLManifest/q:Reference", q=QCVN)


def parse_envelope(data: bytes, limits: Limits = DEFAULT_LIMITS, *, require_signature: bool = False) -> Element:
    """The root element of an envelope whose form is right; its seal is not verified.

    A Signature, if there is one, is the only one, is XML-DSig's, and stands last in edXMLHeader.

    Raises:
        LimitExceeded: it is larger, deeper or more numerous than `limits` allow.
        MalformedMessage: it is not well-formed, holds what `schemas.xml` forbids, has its Signature elsewhere, or
            breaks travel.xsd.
    """
    root = parse(data, limits)
    if root.tag != f"{{{QCVN}}}edXML":
        raise fault_at(
            root,
            "not-edxml",
            f"The root is {root.tag!r}, not edXML of QCVN 102:2016.",
            mend=f"Begin with <edXML xmlns={QCVN!r}>.",
        )
    _require_few(_RECIPIENTS(root), limits.recipients, "too-many-recipients")
    _require_few(_REFERENCES(root), limits.attachments, "too-many-attachments")
    require_signature_last(root, root.find(_HEADER), required=require_signature)
    _GRAMMAR.check(root)
    return root


def _require_few(found: Sequence[Element], most: int, code: str) -> None:
    if len(found) > most:
        raise LimitExceeded(
            code,
            f"The message has {len(found)} of them; {most} are allowed.",
            element=element_path(found[most]),
            line=line_of(found[most]),
        )
