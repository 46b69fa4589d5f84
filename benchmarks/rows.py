"""A row of the benchmark: a figure of ours, a peer's or a floor's of the same run, and the ratio it should reach."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Bound(StrEnum):
    """On which side of its bound a ratio is good."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Reach:
    """What the ratio of a row should reach."""

    side: Bound
    bound: float

    def holds(self, ratio: float) -> bool:
        return ratio >= self.bound if self.side is Bound.AT_LEAST else ratio <= self.bound

    def __str__(self) -> str:
        return f"{self.side} {self.bound:g}"


def at_least(bound: float) -> Reach:
    return Reach(Bound.AT_LEAST, bound)


def at_most(bound: float) -> Reach:
    return Reach(Bound.AT_MOST, bound)


@dataclass(frozen=True, slots=True)
class Row:
    """What a row measures. `name` selects it (`--row`); a row without `reach` is told beside another one."""

    name: str
    title: str
    unit: str
    against: str
    reach: Reach | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One repeat: our figure and the one it is measured against, taken one right after the other."""

    value: float
    reference: float

    @property
    def ratio(self) -> float:
        return self.value / self.reference


@dataclass(frozen=True, slots=True)
class Result:
    """The repeats of a row. `scale` says what one repeat was: 200 documents."""

    row: Row
    scale: str
    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ValueError(f"{self.row.name}: nothing was measured")

    @property
    def value(self) -> float:
        return statistics.median(pair.value for pair in self.pairs)

    @property
    def reference(self) -> float:
        return statistics.median(pair.reference for pair in self.pairs)

    @property
    def ratio(self) -> float:
        """The median of the repeats' ratios: what slows the machine for a while slows both sides of a repeat."""
        return statistics.median(pair.ratio for pair in self.pairs)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio."""
        ratios = [pair.ratio for pair in self.pairs]
        return min(ratios), max(ratios)

    @property
    def holds(self) -> bool | None:
        """None for a row that has nothing to reach."""
        return None if self.row.reach is None else self.row.reach.holds(self.ratio)

    def as_json(self) -> dict[str, Any]:
        """A row of `latest.json`."""
        return {
            "row": self.row.name,
            "value": self.value,
            "unit": self.row.unit,
            "against": self.row.against,
            "reference": self.reference,
            "ratio": self.ratio,
            "reach": None if self.row.reach is None else str(self.row.reach),
            "holds": self.holds,
            "spread": list(self.spread),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that `share` of them (above 0, at most 1) do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
