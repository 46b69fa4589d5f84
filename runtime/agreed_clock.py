"""Whether this process's clock is to be believed, before anything ends by it for good.

On PostgreSQL it is held against the server's, which all processes share: which of two that differ is wrong no program
can know, so nothing ends by either. On SQLite there is no clock but this machine's. There one that jumps, against the
time that has passed since it was looked at last, is in doubt until it is back, or has stood long enough to be meant.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from runtime.clock import Clock
from runtime.grouped_writes import Database
from schemas.errors import Unavailable

log = structlog.get_logger()

#: By how much two clocks that NTP keeps may differ.
TOLERANCE: Final = timedelta(minutes=1)
#: By how much a clock may be wrong and documents still go by it: certificates count from a day before their making.
BEARABLE: Final = timedelta(days=1)
#: How long a clock that jumped has to stand: the time in which NTP or a person puts back what was not meant.
SETTLED: Final = timedelta(hours=1)


class ClockDiffers(Unavailable):
    """The instant is in doubt (`clock-differs`)."""


def seconds_passed() -> float:
    """Seconds since the machine's start, whatever its clock is set to, with those in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class AgreedClock:
    """`clock`, compared with that of `database` each time; or, where that has none, with the seconds in `passed`."""

    def __init__(self, database: Database, clock: Clock, *, passed: Callable[[], float] = seconds_passed) -> None:
        self._database = database
        self._clock = clock
        self._passed = passed
        self._believed = (clock(), passed())
        #: Since when the clock is in doubt, in seconds passed, and how far it was ahead then.
        self._doubted: tuple[float, float] | None = None
        self._is_shared = False
        #: Seconds by which the clock was ahead (behind: negative) when it was last compared.
        self.ahead = 0.0

    @property
    def serves(self) -> bool:
        """False if the clock is so far from the server's that nobody should be answered by it."""
        return not self._is_shared or abs(self.ahead) <= BEARABLE.total_seconds()

    def require_serving(self) -> None:
        """Pass if anybody is to be answered by this clock, as it was when it was last compared; else ClockDiffers."""
        if not self.serves:
            raise self._difference()

    async def now(self) -> datetime:
        """The instant. Raises ClockDiffers while it is in doubt, and as the database does."""
        before = self._clock()
        theirs = await self._database.now()
        now = self._clock()
        self._is_shared = theirs is not None
        # The server answered between the two looks, however long that took.
        self.ahead = _outside(theirs or self._expected(), min(before, now), now)
        if abs(self.ahead) > TOLERANCE.total_seconds() and not self._has_settled():
            raise self._doubt()
        self._believed = (now, self._passed())
        if self._doubted is not None:
            self._doubted = None
            log.info("clock.agrees", ahead_seconds=round(self.ahead, 3))
        return now

    async def agrees(self) -> bool:
        """Whether the clock is to be believed. Raises as the database does."""
        try:
            await self.now()
        except ClockDiffers:
            return False
        return True

    def _expected(self) -> datetime:
        instant, passed = self._believed
        return instant + timedelta(seconds=self._passed() - passed)

    def _has_settled(self) -> bool:
        """Whether a clock that jumped has stood since; one that differs from the server's never does."""
        if self._is_shared or self._doubted is None or self._jumped_again():
            return False
        return self._passed() - self._doubted[0] >= SETTLED.total_seconds()

    def _jumped_again(self) -> bool:
        """Whether a clock that was in doubt already is now elsewhere."""
        return self._doubted is not None and abs(self.ahead - self._doubted[1]) > TOLERANCE.total_seconds()

    def _doubt(self) -> ClockDiffers:
        difference = self._difference()
        if self._doubted is None or (not self._is_shared and self._jumped_again()):
            self._doubted = (self._passed(), self.ahead)
            log.error(
                "clock.differs",
                ahead_seconds=round(self.ahead, 3),
                reason=difference.message,
                mend=difference.mend,
            )
        return difference

    def _difference(self) -> ClockDiffers:
        off = timedelta(seconds=round(abs(self.ahead)))
        side = "ahead of" if self.ahead > 0 else "behind"
        if self._is_shared:
            message = f"This process's clock is {off} {side} the database server's."
            mend = "Set right whichever is wrong: NTP on every machine. Until then this process ends nothing by it."
        else:
            message = f"This machine's clock jumped: it is {off} {side} the time that has passed."
            mend = f"Set it right if it is wrong: NTP. Nothing ends by it for {SETTLED.seconds // 60} minutes."
        return ClockDiffers("clock-differs", message, mend=mend)


def _outside(instant: datetime, earliest: datetime, latest: datetime) -> float:
    """Seconds by which `earliest` is after `instant`, or (negative) `latest` before it; 0 between them."""
    if instant < earliest:
        return (earliest - instant).total_seconds()
    return min(0.0, (latest - instant).total_seconds())
