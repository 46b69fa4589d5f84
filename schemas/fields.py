"""Strict access to the children of an element by name, for trees whose form an XSD has confirmed.

The XSD is the check. What is repeated here (one element where one is meant, plain text where text is meant) costs
little and holds also for a tree that reached a reader by another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from schemas.errors import MalformedCode
from schemas.xml import Element, element_path, fault_at, line_of

T = TypeVar("T")


class Fields:
    """The children of `element`, by their local name in `namespace`."""

    __slots__ = ("_children", "_namespace", "element")

    def __init__(self, element: Element, namespace: str) -> None:
        self.element = element
        self._namespace = namespace
        self._children: dict[str, list[Element]] = {}
        for child in element:
            self._children.setdefault(child.tag, []).append(child)

    def child(self, name: str, namespace: str | None = None) -> Fields | None:
        """The one child of that name (in another namespace, if one is given); None if there is none."""
        within = namespace or self._namespace
        element = self._one(f"{{{within}}}{name}")
        return None if element is None else Fields(element, within)

    def required(self, name: str, namespace: str | None = None) -> Fields:
        return self._present(name, self.child(name, namespace))

    def each(self, name: str) -> list[Fields]:
        return [Fields(child, self._namespace) for child in self._all(name)]

    def optional_text(self, name: str) -> str | None:
        return self.optional(name, str)

    def text(self, name: str) -> str:
        return self.value(name, str)

    def value(self, name: str, read: Callable[[str], T]) -> T:
        """What `read` makes of the text. A ValueError or MalformedCode of `read` names the element."""
        return self._present(name, self.optional(name, read))

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        element = self._one(f"{{{self._namespace}}}{name}")
        return None if element is None else read_from(element, read)

    def values(self, name: str, read: Callable[[str], T]) -> tuple[T, ...]:
        """What `read` makes of each text, in the order written."""
        return tuple(read_from(child, read) for child in self._all(name))

    def _all(self, name: str) -> list[Element]:
        return self._children.get(f"{{{self._namespace}}}{name}", [])

    def _one(self, tag: str) -> Element | None:
        found = self._children.get(tag)
        if found is None:
            return None
        if len(found) > 1:
            raise fault_at(found[1], "element-repeated", "The element stands twice.", mend="Write it once.")
        return found[0]

    def _present(self, name: str, value: T | None) -> T:
        if value is None:
            raise fault_at(self.element, "element-missing", f"The element has no {name}.", mend=f"Write {name}.")
        return value


def read_from(element: Element, read: Callable[[str], T]) -> T:
    """What `read` makes of the text of `element`. Its ValueError or MalformedCode then names the element."""
    return _read(element, text_of(element), read)


def attribute_of(element: Element, name: str, read: Callable[[str], T]) -> T:
    """What `read` makes of an attribute, which must be there."""
    text = element.get(name)
    if text is None:
        raise fault_at(element, "attribute-missing", f"The element has no attribute {name}.", mend=f"Write {name}.")
    return _read(element, text, read)


def _read(element: Element, text: str, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except MalformedCode as error:
        error.element, error.line = element_path(element), line_of(element)
        raise
    except ValueError as error:
        raise fault_at(element, "value-malformed", f"The text {text[:100]!r} is no value of its kind.") from error


def text_of(element: Element) -> str:
    """The text of an element that holds nothing else, as written.

    Raises:
        MalformedMessage: it holds an element, a comment (`H23<!---->.12` must not read as `H23`), or a carriage return
            (written `&#13;`), which would not survive being written again.
    """
    text = element.text or ""
    if len(element):
        raise fault_at(element, "text-with-markup", "The element holds more than text.", mend="Write text alone.")
    if "\r" in text:
        raise fault_at(
            element, "text-not-carried", "The text holds a carriage return.", mend="Write a line break as LF."
        )
    return text
