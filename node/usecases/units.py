"""Units below this node's agencies: declared and retired at the hub, whose operator has the last word."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog

from adapters.sdk import DeclaredUnit, UnitStanding
from node.usecases.directory import DirectoryCopy
from schemas.codes import AgencyCode
from schemas.errors import Unavailable
from transport.client import HubClient
from transport.wire import UnitAnswer, UnitForm, UnitState

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Units:
    """Asks the hub. What it does at once stands in this node's copy of the directory before the answer is given."""

    hub: Callable[[], AbstractAsyncContextManager[HubClient]]
    directory: DirectoryCopy

    async def declare(self, unit: DeclaredUnit) -> UnitStanding:
        """Declare a unit, or give it another name; raises as `HubClient.declare_unit`."""
        async with self.hub() as hub:
            form = UnitForm(name=unit.name, mail=unit.mail, phone=unit.phone)
            return await self._settled(hub, await hub.declare_unit(unit.code, form))

    async def retire(self, code: AgencyCode) -> UnitStanding:
        """Retire a unit, for good; raises as `HubClient.retire_unit`."""
        async with self.hub() as hub:
            return await self._settled(hub, await hub.retire_unit(code))

    async def _settled(self, hub: HubClient, answer: UnitAnswer) -> UnitStanding:
        if answer.state is UnitState.AWAITING_APPROVAL:
            return UnitStanding.AWAITING_APPROVAL
        try:
            await self.directory.sync(hub)
        except Unavailable as error:
            # It is done all the same, and the directory comes by its own service.
            log.info("directory.later", code=error.code)
        return UnitStanding.DONE
