"""What a strike really did: whoever asks for 200 faults is to have 200 that were felt."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from runtime.clock import Clock

#: Seconds that a fault holds on, beyond its time, until it is felt; and those between two looks.
_LONGER: Final = 10.0
_LOOK: Final = 0.1
#: What a time in a log may be off the struck clock's, in seconds. The smallest jump is 90.
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
    """Whether a program writes to its `log`, from now on, that it is `ahead` seconds later than `clock` says."""

    def __init__(self, log: Path, ahead: int, clock: Clock) -> None:
        self._log = log
        self._ahead = ahead
        self._clock = clock
        self._read = log.stat().st_size

    def are_told(self) -> bool:
        """Reads what is new in the log: a look at each line, once."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        return any(self._is_wrong(line) for line in whole.splitlines())

    def _is_wrong(self, line: bytes) -> bool:
        try:
            told = datetime.fromisoformat(json.loads(line)["timestamp"])
        except (ValueError, KeyError, TypeError):
            return False  # a line for people
        return abs((told - self._clock()).total_seconds() - self._ahead) < _NEAR
