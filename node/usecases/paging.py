"""Cursors: where a page of a list ended, as a text that callers hand back unread."""

from __future__ import annotations

from schemas.errors import Rejected


def number_in(cursor: str) -> int:
    """The number that a cursor is. Raises Rejected: `cursor-malformed`."""
    return numbers_in(cursor, 1)[0]


def numbers_in(cursor: str, count: int) -> tuple[int, ...]:
    """The `count` numbers of which a cursor is made, with dots between them. Raises Rejected: `cursor-malformed`."""
    parts = cursor.split(".")
    # Eighteen digits fit the databases' integers.
    if len(parts) != count or not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise Rejected(
            "cursor-malformed",
            f"{cursor[:100]!r} is no place in this list.",
            element="after",
            mend="Give the cursor of the last row that you saw, unchanged, or none.",
        )
    return tuple(map(int, parts))
