"""Instants as our extension, receipts and the directory write them: `2026-11-21T08:30:00.000000Z`.

ISO 8601, UTC, to the microsecond. One instant has one text, so that equal values give equal bytes and texts sort as
the instants do.
"""

from __future__ import annotations

from datetime import UTC, datetime


def instant_text(instant: datetime) -> str:
    """The text of `instant`.

    Raises:
        ValueError: `instant` is naive: it names no instant.
    """
    if instant.tzinfo is None:
        raise ValueError("a naive datetime names no instant: give it a time zone")
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    # It ends with +00:00.
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """The instant, in UTC, that `text` is.

    Raises:
        ValueError: `text` is not of the one form, or names no instant.
    """
    instant = datetime.fromisoformat(text)
    # fromisoformat takes many forms of ISO 8601; only the one that would be written again is ours.
    if instant.tzinfo is None or instant_text(instant) != text:
        raise ValueError(f"{text!r} is not written like 2026-11-21T08:30:00.000000Z")
    return instant.astimezone(UTC)
