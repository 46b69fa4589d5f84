"""Priority lanes: how urgent a message is on its way, 0 the most."""

from __future__ import annotations

from typing import Final

from schemas.message import Priority

#: Express overtakes all; an appointed hour is as urgent as express, for nobody here knows the hour.
_LANES: Final = {
    Priority.EXPRESS_APPOINTED: 0,
    Priority.EXPRESS: 0,
    Priority.VERY_URGENT: 1,
    Priority.URGENT: 2,
    Priority.NORMAL: 3,
}

#: The lane of express documents.
EXPRESS_LANE: Final = 0
#: How many lanes there are.
LANES: Final = max(_LANES.values()) + 1


def lane_of(priority: Priority) -> int:
    """The lane of a document of that priority. A status or a receipt rides in the lane of what it speaks of."""
    return _LANES[priority]
