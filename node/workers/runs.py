"""Runs: hand-overs to one agency that one worker does, one after the other, so that they share what surrounds them.

Software that takes a message at once gets many to a run, which cost one snapshot, one signature and one commit. That
which needs longer gets them one by one, several at a time, as many as there are workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from node.store.handovers import ReadyHandover
from schemas.codes import AgencyCode

#: Seconds after which a run begins no further message: so long an urgent one may have to wait for its place.
RUN_SECONDS: Final = 0.02
#: How many messages a run has at most.
LONGEST_RUN: Final = 32
_GROWTH: Final = 4


@dataclass(slots=True, eq=False)
class Run:
    """Hand-overs in one lane to one agency, in the queue's order; one that is bulk is alone."""

    rows: list[ReadyHandover]
    begun: int = field(default=0, init=False)

    @property
    def code(self) -> AgencyCode:
        return self.rows[0].code

    @property
    def lane(self) -> int:
        return self.rows[0].lane

    @property
    def is_bulk(self) -> bool:
        return self.rows[0].is_bulk

    def begin(self) -> Iterator[ReadyHandover]:
        """The rows, each begun when it is given; none of those that were left to others meanwhile."""
        while self.begun < len(self.rows):
            self.begun += 1
            yield self.rows[self.begun - 1]

    def leave(self, keeping: int) -> bool:
        """Keep the first rows, and leave the others to other workers; whether there are others."""
        left = keeping < len(self.rows)
        del self.rows[keeping:]
        return left


class Paces:
    """How long runs may be, by how fast each agency's software has taken messages so far."""

    def __init__(self) -> None:
        self._lengths: dict[AgencyCode, int] = {}

    @property
    def longest(self) -> int:
        return max(self._lengths.values(), default=1)

    def of(self, code: AgencyCode) -> int:
        """How many messages for `code` may be in one run."""
        return self._lengths.get(code, 1)

    def note(self, code: AgencyCode, seconds: Sequence[float]) -> None:
        """The software took messages in so many `seconds` each: the next runs are as long as they can be by that.

        Of one or two messages little can be told, so that a run is at most some times longer than the one before.
        """
        # The median: now and then the machine has something else to do.
        usual = median(seconds)
        fitting = int(RUN_SECONDS / usual) if usual > 0 else LONGEST_RUN
        wished = max(self.of(code), _GROWTH * len(seconds))
        if (length := min(wished, fitting, LONGEST_RUN)) > 1:
            self._lengths[code] = length
        else:
            self.one_by_one(code)

    def one_by_one(self, code: AgencyCode) -> None:
        """The next messages are handed over each by itself."""
        # Thousands of agencies may be served: only those that differ are remembered.
        self._lengths.pop(code, None)


def runs_of(rows: Iterable[ReadyHandover], paces: Paces) -> list[Run]:
    """The rows as runs, in the order in which the first row of each comes."""
    runs: list[Run] = []
    growing: dict[tuple[AgencyCode, int], Run] = {}
    for row in rows:
        run = growing.get((row.code, row.lane))
        if run is not None and not row.is_bulk and len(run.rows) < paces.of(row.code):
            run.rows.append(row)
            continue
        run = Run([row])
        runs.append(run)
        if not row.is_bulk:
            growing[row.code, row.lane] = run
    return runs


def key_of(row: ReadyHandover) -> tuple[str, str]:
    return row.message_id, row.code.value


def keys_of(runs: Iterable[Run]) -> frozenset[tuple[str, str]]:
    return frozenset(key_of(row) for run in runs for row in run.rows)
