"""Offers that the settings have since given to another adapter, or whose adapter is gone, are taken back at the start.

Then they are handed over anew, to the adapter that they are for now. What was offered and is still where it belongs
stays as it is, with its locks.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog

from adapters.sdk import DeliveryKey
from node.store import awaiting
from node.usecases.handover import AdapterRoute, Addressed
from runtime.clock import Clock
from runtime.database import Database

log = structlog.get_logger()

#: Offers looked at in one step.
_BATCH: Final = 1000


async def take_back_strays(database: Database, route: AdapterRoute, clock: Clock) -> int:
    """Make ready again what was offered by an adapter that it is not for any more; gives how many."""
    number = 0
    after: DeliveryKey | None = None
    while offers := await database.read(partial(awaiting.offers, after=after, limit=_BATCH)):
        strays = []
        for offer in offers:
            facts = offer.message
            to = Addressed(offer.code, facts.sender, facts.kind, facts.document_type)
            connected = route(to)
            desk = () if connected is None else (connected.name, *(other.name for other in connected.beside))
            if offer.adapter not in desk:
                strays.append(DeliveryKey(facts.message_id, offer.code))
        if strays:
            await database.write(partial(awaiting.take_back, keys=strays, at=clock()))
            number += len(strays)
        after = DeliveryKey(offers[-1].message.message_id, offers[-1].code)
    if number:
        log.warning("handover.rerouted", count=number)
    return number
