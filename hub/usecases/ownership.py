"""A hub has one database, and a database one hub: another's is refused before it is read or signed into.

Equal processes of one hub share a database; they have the same keys, and the same name.
"""

from __future__ import annotations

from hub.store import state
from hub.store.metadata import Transaction
from hub.store.state import HubState
from runtime.database import Database
from schemas.errors import Rejected


async def require_own_database(database: Database, name: str) -> None:
    """Pass for a database of the hub `name`, or of no hub yet. Raises `database-taken`."""
    found = await database.read(_find)
    if found is not None and found.name != name:
        raise Rejected(
            "database-taken",
            f"The database is that of the hub {found.name}; this is {name}.",
            mend="Give each hub a database of its own: [database] url. Only equal processes of one hub share one.",
        )


def _find(transaction: Transaction) -> HubState | None:
    return state.find(transaction) if state.is_hubs(transaction) else None
