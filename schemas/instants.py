"""Instants as receipts and the directory write them: ISO 8601, UTC, to the microsecond, `2026-11-21T08:30:00.000000Z`.

One instant has one text, so that equal values give equal bytes and texts sort as the instants do.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def instant_text(instant: datetime) -> str:
    """The text of `instant`.

    Raises:
        ValueError: `instant` is naive: it names no instant.
    """
    if instant.tzinfo is None:
        raise ValueError("a naive datetime names no instant: give it a time zone")
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str) -> datetime:
    """The instant, in UTC, that `text` is.

    Raises:
        ValueError: `text` is not of the one form, or names no instant.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is no UTC instant written like 2026-11-21T08:30:00.000000Z")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
