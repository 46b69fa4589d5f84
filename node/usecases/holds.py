"""Holds: is what a held message waits for still to come? When the hub says that it is not, the hold ends at once."""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog

from node.store import holds
from node.usecases.work import Work
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from transport.client import HubClient

log = structlog.get_logger()

#: Messages asked about at one go: each is a question to the hub.
_AT_ONCE: Final = 20

#: Deliveries that have ended without the message having come.
_NEVER_COMES: Final = frozenset({"refused", "expired", "cancelled"})


class Holds:
    """Ends holds for what will not come."""

    def __init__(self, database: Database, hub: HubClient, wakeups: Wakeups) -> None:
        self._database = database
        self._hub = hub
        self._wakeups = wakeups
        self._asked_last: Sha256Hex = ""

    async def review(self) -> int:
        """Ask the hub about some of what is awaited, the next time about others; gives how many messages go on.

        Of a message that the hub does not show (it was not sent here, or a hub restored from a backup does not know
        it yet) nothing follows: the hold lasts its time. Raises Unavailable.
        """
        awaited = await self._database.read(partial(holds.awaited, after=self._asked_last, limit=_AT_ONCE))
        freed = 0
        for message_id, codes in awaited.items():
            ended = await self._ended(message_id)
            for code in codes:
                if code.value in ended:
                    freed += await self._database.write(partial(holds.release, predecessor=message_id, code=code))
                    log.warning("hold.ended", awaited=message_id, recipient=str(code), delivery=ended[code.value])
            self._asked_last = message_id
        if len(awaited) < _AT_ONCE:
            self._asked_last = ""
        if freed:
            self._wakeups.wake(Work.HANDOVER)
        return freed

    async def _ended(self, message_id: Sha256Hex) -> dict[str, str]:
        """By agency, how its delivery of the message ended without it having come."""
        try:
            trace = await self._hub.message(message_id)
        except Rejected:
            return {}
        return {delivery.recipient: delivery.state for delivery in trace.deliveries if delivery.state in _NEVER_COMES}
