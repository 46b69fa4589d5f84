"""Our XSDs at work: libxml2 decides, xmlschema explains.

libxml2 checks a 1 MB document in 6 ms and says little of why; xmlschema takes 200 ms and says it well. Only what
libxml2 has refused is explained, and only up to a size that cannot be used to keep a hub busy.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import cast

import xmlschema
from lxml import etree

from schemas.errors import MalformedMessage
from schemas.xml import Element, element_path, line_of

XSD_FOLDER = Path(__file__).parent / "xsd"

#: Elements up to which xmlschema is asked for words (about 0.2 s); a larger document gets libxml2's sentence.
_EXPLAINED_ELEMENTS = 20_000
_SENTENCE = 300

#: A namespace before a name, as validators print it.
_LONG_NAME = re.compile(r"\{[^{}]*\}")


class Grammar:
    """One of our XSDs, compiled when first used. May be shared by threads."""

    def __init__(self, file_name: str) -> None:
        self.path = XSD_FOLDER / file_name

    def check(self, root: Element) -> None:
        """Pass if the tree below `root` is valid.

        Raises:
            MalformedMessage: `schema-violation`, with the path and line of the first fault.
        """
        if not self._compiled(root):
            raise self._explained(root)

    @cached_property
    def _compiled(self) -> etree.XMLSchema:
        return etree.XMLSchema(file=self.path)

    @cached_property
    def _explaining(self) -> xmlschema.XMLSchema:
        return xmlschema.XMLSchema(self.path, allow="local")

    def _explained(self, root: Element) -> MalformedMessage:
        mend = f"The form is written down in {self.path.name}."
        if sum(1 for _ in root.iter()) <= _EXPLAINED_ELEMENTS:
            for fault in self._explaining.iter_errors(root):
                return _in_words(fault, root, mend)
        # A log of its own: that of the shared schema may hold another thread's errors.
        schema = etree.XMLSchema(file=self.path)
        schema.validate(root)
        first = schema.error_log[0]  # type: ignore[index] # lxml-stubs leave __getitem__ out
        return MalformedMessage("schema-violation", _short(first.message), line=first.line, mend=mend)


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
