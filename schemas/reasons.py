"""Reasons made fit for receipts and statuses: they come from foreign software, or quote what a peer wrote."""

from __future__ import annotations

import re
from typing import Final

#: As much as people read; receivers on the axis store 500 characters of a text.
LONGEST: Final = 500

# What XML does not carry unchanged, and line breaks, which a sentence has no need of.
_UNFIT = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


def plain_reason(text: str) -> str:
    """One line of `text`, at most 500 characters, without what XML cannot carry; never empty."""
    line = " ".join(_UNFIT.sub(" ", text).split())
    if len(line) > LONGEST:
        line = line[: LONGEST - 1].rstrip() + "…"
    return line or "No reason was given."
