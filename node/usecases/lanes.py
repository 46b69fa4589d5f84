"""Priority lanes: how urgent a message is on its way, 0 the most. The hub's are the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from schemas.message import Priority

_LANES: Final = {
    Priority.EXPRESS_APPOINTED: 0,
    Priority.EXPRESS: 0,
    Priority.VERY_URGENT: 1,
    Priority.URGENT: 2,
    Priority.NORMAL: 3,
}

#: The lane of express documents, and how many lanes there are.
EXPRESS_LANE: Final = 0
LANES: Final = 4


def lane_of(priority: Priority) -> int:
    """The lane of a document of that priority. A status rides in the lane of what it speaks of."""
    return _LANES[priority]


def has_room(lane: int, running: Iterable[int], *, parallel: int, reserve: int) -> bool:
    """Whether work in `lane` may begin beside what is `running`: `reserve` of `parallel` places are kept for express.

    One place at least is open to all.
    """
    ordinary = sum(1 for other in running if other != EXPRESS_LANE)
    return lane == EXPRESS_LANE or ordinary < max(1, parallel - reserve)


class Piece(Protocol):
    """Work in a lane, which may be bulk: large attachments, that take long."""

    @property
    def lane(self) -> int: ...

    @property
    def is_bulk(self) -> bool: ...


def has_bulk_room(running: Iterable[Piece], *, parallel: int, reserve: int) -> bool:
    """Whether more ordinary bulk may begin beside what is `running`: it leaves one ordinary place to what is short.

    One place at least is open to all.
    """
    bulk = sum(1 for other in running if other.is_bulk and other.lane != EXPRESS_LANE)
    return bulk < max(1, parallel - reserve - 1)
