"""Why a document breaks an XSD, in words: the place, the rule and the mend.

libxml2 checks a 1 MB document in 6 ms and says little of why; xmlschema takes 200 ms and says it well. So xmlschema is
asked only of what libxml2 has refused, and only up to a size that cannot be used to keep a hub busy.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import cast

import xmlschema
from lxml import etree

from schemas.errors import MalformedMessage
from schemas.xml import Element, element_path, line_of

#: Elements up to which xmlschema is asked (about 0.35 s); a larger document gets libxml2's sentence.
_EXPLAINED_ELEMENTS = 20_000
_SENTENCE = 300

#: A namespace before a name, as validators print it.
_LONG_NAME = re.compile(r"\{[^{}]*\}")


def explained(root: Element, xsd: Path) -> MalformedMessage:
    """The first fault of the tree below `root`, which is not valid by `xsd`."""
    mend = f"The form is written down in {xsd.name}."
    if sum(1 for _ in root.iter()) <= _EXPLAINED_ELEMENTS:
        for fault in _schema(xsd).iter_errors(root):
            return _in_words(fault, root, mend)
    # A log of its own: that of a schema shared by threads may hold another's errors.
    schema = etree.XMLSchema(file=xsd)
    schema.validate(root)
    first = schema.error_log[0]  # type: ignore[index] # lxml-stubs leave __getitem__ out
    return MalformedMessage("schema-violation", _short(first.message), line=first.line, mend=mend)


@cache
def _schema(xsd: Path) -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(xsd, allow="local")


def _in_words(fault: xmlschema.XMLSchemaValidationError, root: Element, mend: str) -> MalformedMessage:
    element = root if fault.elem is None else cast("Element", fault.elem)
    if isinstance(fault, xmlschema.XMLSchemaChildrenValidationError):
        # The fault is the parent's; what a person looks for is the child that stands wrong.
        element = element if fault.invalid_child is None else cast("Element", fault.invalid_child)
        if fault.expected_tags:
            mend = f"Write {' or '.join(_LONG_NAME.sub('', tag) for tag in fault.expected_tags)} here."
    sentence = f"{etree.QName(element).localname} breaks the form: {_short(fault.reason or fault.message)}"
    return MalformedMessage(
        "schema-violation", sentence, element=element_path(element), line=line_of(element), mend=mend
    )


def _short(sentence: str) -> str:
    """A validator's sentence, which can quote the document at length, on one line without namespaces."""
    plain = " ".join(_LONG_NAME.sub("", sentence).split())
    return (plain if len(plain) <= _SENTENCE else plain[:_SENTENCE] + "…").rstrip(".") + "."
