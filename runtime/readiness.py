"""Whether a program can do its work: each part is tried, none is taken at its word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from runtime.files import storage_errors, write_file
from schemas.errors import CongvanError

#: Seconds that a part may take to answer.
PATIENCE: Final = 5.0
#: Seconds that a report is given again. Anybody may ask, and each trial writes to the disk.
FRESH: Final = 2.0
#: Enough bytes that a full disk shows.
_TRIAL: Final = bytes(8192)

#: Tries one part; raises if it does not work.
Trial: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PartReport:
    """How one part answered: `fault` says what is wrong, None if nothing is.

    Without a part that is not `needed` the program works on, not as well.
    """

    part: str
    fault: str | None
    milliseconds: float
    needed: bool = True


class Readiness:
    """Tries all parts at once, and remembers the outcome for a moment.

    `is_needed` is asked of a part after it was tried.
    """

    def __init__(self, trials: Mapping[str, Trial], is_needed: Callable[[str], bool] = lambda _: True) -> None:
        self._trials = trials
        self._is_needed = is_needed
        self._asking = asyncio.Lock()
        self._reports: tuple[PartReport, ...] = ()
        self._reported_at = float("-inf")

    async def reports(self) -> tuple[PartReport, ...]:
        """One report for each part, at most two seconds old."""
        async with self._asking:
            if time.monotonic() - self._reported_at >= FRESH:
                self._reports = tuple(await asyncio.gather(*(self._report(*tried) for tried in self._trials.items())))
                self._reported_at = time.monotonic()
            return self._reports

    async def _report(self, part: str, trial: Trial) -> PartReport:
        began = time.monotonic()
        fault: str | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                await trial()
        except TimeoutError:
            fault = f"no answer within {PATIENCE:g} seconds"
        except CongvanError as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a part breaks with, the report is about that part
            fault = repr(error)
        return PartReport(part, fault, round((time.monotonic() - began) * 1000, 1), self._is_needed(part))


def is_ready(reports: Iterable[PartReport]) -> bool:
    """True if all parts that are needed work."""
    return all(report.fault is None for report in reports if report.needed)


def is_degraded(reports: Iterable[PartReport]) -> bool:
    """True if a part does not work that is not needed."""
    return any(report.fault is not None for report in reports if not report.needed)


async def try_folder(folder: Path) -> None:
    """Write a file in `folder` and drop it; raises the errors of storage."""
    await asyncio.to_thread(_write_and_drop, folder / ".probe")


def _write_and_drop(path: Path) -> None:
    write_file(path, _TRIAL)
    with storage_errors(path):
        # Another process of the same program may try at this moment, by the same name.
        path.unlink(missing_ok=True)
