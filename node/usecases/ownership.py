"""One node has one database, and a database one node: another's is refused before anything is read from it.

Instances of one node share a database; their folders hold the same enrolment.
"""

from __future__ import annotations

from node.store import owner
from node.store.metadata import Transaction
from node.store.owner import Owner
from node.usecases.identity import NodeIdentity
from runtime.database import Database
from schemas.errors import Rejected


async def claim_database(database: Database, identity: NodeIdentity) -> None:
    """Note that the database is this node's. Raises `database-taken` if it is another's."""
    own = _of(identity)

    def claim(transaction: Transaction) -> Owner:
        found = owner.find(transaction)
        if found is None:
            owner.note(transaction, own)
        return found or own

    _require(own, await database.write(claim))


async def require_own_database(database: Database, identity: NodeIdentity) -> None:
    """Pass for a database that is this node's, or nobody's yet. Raises `database-taken`."""
    found = await database.read(owner.find)
    if found is not None:
        _require(_of(identity), found)


def _of(identity: NodeIdentity) -> Owner:
    return Owner(identity.hub, identity.connection)


def _require(own: Owner, found: Owner) -> None:
    if found != own:
        raise Rejected(
            "database-taken",
            f"The database is that of the node {found.connection} at {found.hub}; this is {own.connection} at "
            f"{own.hub}.",
            mend="Give each node a database of its own: [database] url. Only instances of one node share one.",
        )
