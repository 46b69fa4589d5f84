"""Writing XML as text: the steps that our writers share. What they write is C14N already: one value has one form."""

from __future__ import annotations

import re

from schemas.errors import Rejected
from schemas.xml import WRAPPERS

# XML 1.0, production 2, without the carriage return: a parser turns a bare one into a line feed.
_NOT_CARRIED = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = re.compile(r"<(/?)(?:\w+:)?(\w+)[^>]*>")


def escaped(text: str) -> str:
    """`text` as C14N writes a text node. (The carriage return, which it would escape too, is refused by `encoded`.)"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def encoded(markup: str) -> bytes:
    """The bytes of a whole message written as `markup`, UTF-8.

    Raises:
        Rejected: `text-not-carried`: a text in it holds a character that XML cannot carry unchanged.
    """
    # One look at the whole is quicker than one at each text, and only a text can hold such a character.
    if not markup.isprintable() and (found := _NOT_CARRIED.search(markup)):
        raise Rejected(
            "text-not-carried",
            f"The text holds the character U+{ord(found[0]):04X}, which XML does not carry unchanged.",
            element=_place_in(markup, found.start()),
            mend="Write a line break as LF." if found[0] == "\r" else "Remove the character.",
        )
    return markup.encode()


def nth(path: str, place: int) -> str:
    """The path of an element before which `place` others of its name stand, as `element_path` writes it."""
    return path if place == 0 else f"{path}[{place + 1}]"


def _place_in(markup: str, end: int) -> str:
    """The path of the element open at `end`, as `schemas.xml.element_path` gives it (no empty-element tags in C14N)."""
    path: list[str] = []
    counts: list[dict[str, int]] = [{}]
    for tag in _TAG.finditer(markup, 0, end):
        closing, name = tag.groups()
        if closing:
            path.pop()
            counts.pop()
        else:
            place = counts[-1].get(name, 0)
            counts[-1][name] = place + 1
            path.append(nth(name, place))
            counts.append({})
    return "/".join(step for step in path if step not in WRAPPERS)
