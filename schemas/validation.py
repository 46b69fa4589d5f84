"""Our XSDs at work: libxml2 decides, and what it refuses is explained in words."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from lxml import etree

from schemas.xml import Element

XSD_FOLDER = Path(__file__).parent / "xsd"


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
            # xmlschema takes 0.2 s to load, and few programs ever see an invalid message.
            from schemas.explanation import explained  # noqa: PLC0415 - as said above

            raise explained(root, self.path)

    @cached_property
    def _compiled(self) -> etree.XMLSchema:
        return etree.XMLSchema(file=self.path)
