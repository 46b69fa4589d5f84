"""The elements of a classic file as plain values: names, texts and lines, attachments' contents left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.errors import Rejected
from schemas.findings import Finding

#: Names that only wrap are left out of paths, as `schemas.xml.element_path` leaves them out.
_WRAPPERS = frozenset({"edXML", "edXMLEnvelope", "edXMLHeader", "edXMLBody"})
#: A file of faults is not worth a longer list: it would only cost memory.
_MOST_FINDINGS = 500

Error = TypeVar("Error", bound=Rejected)


@dataclass(slots=True, eq=False)
class ClassicElement:
    """An element of the QCVN namespace: its local name, its line, and its text with nothing taken off.

    `text` is all character data directly inside it, on both sides of comments and of children. `holds_foreign` is True
    where it has an element of another namespace inside; that element and everything below are left out.
    """

    name: str
    line: int
    parent: ClassicElement | None = field(repr=False)
    children: list[ClassicElement] = field(default_factory=list)
    text: str = ""
    holds_foreign: bool = False

    @property
    def path(self) -> str:
        """Where it stands, as a path of local names: `MessageHeader/To[2]/OrganId`."""
        steps = []
        here: ClassicElement | None = self
        while here is not None:
            if here.name not in _WRAPPERS:
                siblings = here.parent.each(here.name) if here.parent is not None else ()
                # An element that is missing has no place among its siblings: it would be the first.
                place = next((number for number, sibling in enumerate(siblings, 1) if sibling is here), 1)
                steps.append(here.name if place == 1 else f"{here.name}[{place}]")
            here = here.parent
        return "/".join(reversed(steps)) or self.name

    def each(self, name: str) -> Iterator[ClassicElement]:
        """The children of that name."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> ClassicElement | None:
        return next(self.each(name), None)

    def located(self, error: Error) -> Error:
        """`error`, naming this element and its line where it names none."""
        if error.element is None:
            error.element = self.path
        if error.line is None:
            error.line = self.line
        return error


class Findings:
    """What was noticed so far."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self._left_out = 0

    def add(
        self,
        code: str,
        message: str,
        element: ClassicElement | None = None,
        *,
        line: int | None = None,
        strict_refuses: bool = False,
    ) -> None:
        if len(self._found) == _MOST_FINDINGS:
            self._left_out += 1
            return
        self._found.append(
            Finding(
                code=code,
                message=message,
                element=element.path if element is not None else None,
                line=element.line if element is not None and line is None else line,
                strict_refuses=strict_refuses,
            )
        )

    def all(self) -> tuple[Finding, ...]:
        """Every finding, by its line; a last one says how many more there were, if they were too many to keep."""
        found = sorted(self._found, key=lambda finding: finding.line or 0)
        if not self._left_out:
            return tuple(found)
        more = Finding(
            code="findings-left-out",
            message=f"{self._left_out} more findings are left out.",
            strict_refuses=True,
        )
        return (*found, more)
