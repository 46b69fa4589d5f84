"""Lengths of time as people write them: `90m`, `2h`, `3d`, `1.5d`."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd])", re.ASCII)
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
#: A century: nothing here is meant to last longer, and no sum with it leaves the calendar.
_LONGEST = timedelta(days=36_525)


def parse_duration(text: str) -> timedelta:
    """The length that `text` says: a number and one of s, m, h, d.

    Raises:
        ValueError: it is none, or longer than a century; the message says the form.
    """
    parts = _DURATION.fullmatch(text.strip().lower())
    length = float(parts[1]) * _UNITS[parts[2]] if parts else None
    if length is None or length > _LONGEST:
        raise ValueError(f"{text[:40]!r} is no length of time: write a number and s, m, h or d, such as 90m, 2h or 3d")
    return length
