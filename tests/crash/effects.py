"""What a strike really did: whoever asks for 200 faults is to have 200 that were felt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.clock import Clock

#: Seconds that a fault holds on, beyond its time, until it is felt; and those between two looks.
_LONGER: Final = 10.0
_LOOK: Final = 0.1
#: What a stamp may be off the struck clock's, in seconds. The smallest jump is 90.
_NEAR: Final = 45.0


async def felt(seconds: float, is_felt: Callable[[], bool]) -> bool:
    """Whether `is_felt` (which may block for milliseconds) became true; waits `seconds`, and longer until it does."""
    began = time.monotonic()
    was_felt = False
    while (gone := time.monotonic() - began) < seconds or (not was_felt and gone < seconds + _LONGER):
        was_felt = was_felt or await asyncio.to_thread(is_felt)
        await asyncio.sleep(_LOOK)
    return was_felt


class WrongTimes:
    """Whether a program tells, from now on, that it is `ahead` seconds later than `clock` says.

    It stamps the file `stamp` with its time (`stamped`), also where it has nothing to log: with a clock years ahead no
    node is let in.
    """

    def __init__(self, stamp: Path, ahead: int, clock: Clock) -> None:
        self._stamp = stamp
        self._ahead = ahead
        self._clock = clock
        stamp.unlink(missing_ok=True)

    def are_told(self) -> bool:
        """Whether the newest stamp is by the wrong clock."""
        told = self.stamped(self._stamp)
        return told is not None and abs(told - self._clock().timestamp() - self._ahead) < _NEAR

    @staticmethod
    def stamped(file: Path) -> float | None:
        """The program's own time, in seconds of the epoch; None if it has written none."""
        try:
            return float(file.read_text())
        except FileNotFoundError:
            return None
