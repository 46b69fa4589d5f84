"""The node's copy of the signed directory."""

from __future__ import annotations

from collections.abc import Sequence

from node.usecases.identity import NodeIdentity
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from transport.client import HubClient


class DirectoryCopy:
    """Reads the copy. `await load()` once before use; `served_codes` then follows every version applied here."""

    def __init__(self, database: Database, identity: NodeIdentity, clock: Clock) -> None: ...

    async def load(self) -> None:
        raise NotImplementedError

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        raise NotImplementedError

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        raise NotImplementedError

    async def sync(self, hub: HubClient) -> int:
        """Fetch, verify and apply what is new; gives the version held then. For `node init` and the daemon."""
        raise NotImplementedError
