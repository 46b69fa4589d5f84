"""Time as an argument: programs pass a clock down, tests pass their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

#: Gives the present instant, aware, in UTC.
Clock: TypeAlias = Callable[[], datetime]

#: Likewise, for what ends by it for good: raises Unavailable while the instant is in doubt (runtime.agreed_clock).
CertainClock: TypeAlias = Callable[[], Awaitable[datetime]]


def utc_now() -> datetime:
    return datetime.now(UTC)
