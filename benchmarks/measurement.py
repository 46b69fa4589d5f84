"""What a measurement is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from benchmarks.rows import Result, Row


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmark: where it may work, how large it is, whom it tells how far it is.

    `cache` outlives runs: environments of peers, which take long to make. `wanted` are the names of the rows asked for.
    """

    folder: Path
    cache: Path
    quick: bool
    wanted: frozenset[str]
    tell: Callable[[str], None]

    #: Enough for a median, in the short form too: that one is smaller, not rarer.
    repeats: ClassVar[int] = 5

    def of(self, *, quick: int, full: int) -> int:
        """How many of something: `quick` in the short form."""
        return quick if self.quick else full

    def wants(self, *rows: Row) -> bool:
        return any(row.name in self.wanted for row in rows)


class Measurement(Protocol):
    """Rows that are measured together."""

    rows: ClassVar[tuple[Row, ...]]

    async def measure(self, run: Run) -> Sequence[Result]: ...
