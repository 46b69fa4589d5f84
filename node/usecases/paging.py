"""Cursors: where a page of a list ended, as a text that callers hand back unread."""

from __future__ import annotations

from typing import Final

from schemas.errors import Rejected

#: As many digits fit the databases' integers, and the instants of Python in microseconds.
_DIGITS: Final = 16


def number_in(cursor: str) -> int:
    """The number that a cursor, or a part of one, is. Raises Rejected: `cursor-malformed`."""
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _DIGITS):
        raise Rejected(
            "cursor-malformed",
            f"{cursor[:100]!r} is no place in this list.",
            element="after",
            mend="Give the cursor of the last row that you saw, unchanged, or none.",
        )
    return int(cursor)
