"""Priority lanes: how urgent a message is on its way, 0 the most. The hub's are the same."""

from __future__ import annotations

from typing import Final

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
