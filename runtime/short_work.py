"""Work that is done at once where it is short, and in a thread where it is long.

A hop to a thread and back takes longer than a millisecond of work, and on a document's way through an idle system
somebody waits for each (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def at_once_if(is_short: bool, work: Callable[[], T]) -> T:
    """What `work` gives: at once, on the event loop, if it `is_short` (a millisecond at most); else from a thread."""
    return work() if is_short else await asyncio.to_thread(work)
