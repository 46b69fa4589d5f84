"""How people write whom a document goes to: a code, every agency at or below one (`H23.*`), or a group (`@so-tu-phap`).

A code names one agency, which the document then names in To. The other two are selectors: signed as they are written,
and resolved by the hub from the version of the directory that its acceptance names.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.codes import AgencyCode
from schemas.envelope import Selector, SelectorKind
from schemas.errors import Rejected

_BELOW: Final = ".*"
_GROUP: Final = "@"

#: Small letters without marks: a name that a shell, a URL and a colleague on the telephone take alike.
_GROUP_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)


def is_selector(text: str) -> bool:
    """Whether `text` is meant to name agencies by rule, be it well written or not."""
    return text.startswith(_GROUP) or text.endswith("*")


def parse_selector(text: str) -> Selector:
    """The selector that `H23.*` or `@group` is. Raises `selector-malformed`, MalformedCode."""
    if text.startswith(_GROUP):
        return Selector(SelectorKind.GROUP, group_name(text.removeprefix(_GROUP)))
    if not text.endswith(_BELOW):
        raise Rejected(
            "selector-malformed",
            f"{text!r} selects nothing: a star stands after a code and a dot.",
            mend="Write H23.* for H23 and every agency below it, or @name for a group.",
        )
    return Selector(SelectorKind.PREFIX, AgencyCode.parse(text.removesuffix(_BELOW)).value)


def parse_recipient(text: str) -> AgencyCode | Selector:
    """What `text` names: an agency, or a selector. Raises `selector-malformed`, MalformedCode."""
    return parse_selector(text) if is_selector(text) else AgencyCode.parse(text)


def recipient_text(recipient: AgencyCode | Selector) -> str:
    """`recipient` as it is written."""
    if isinstance(recipient, AgencyCode):
        return recipient.value
    return f"{_GROUP}{recipient.value}" if recipient.kind is SelectorKind.GROUP else f"{recipient.value}{_BELOW}"


def group_name(text: str) -> str:
    """`text`, if it can be the name of a group. Raises `selector-malformed`."""
    if not _GROUP_NAME.fullmatch(text):
        raise Rejected(
            "selector-malformed",
            f"{text[:100]!r} is no name of a group: it has 1 to 64 small letters without marks, digits and hyphens.",
            mend="Choose one such as so-tu-phap.",
        )
    return text
