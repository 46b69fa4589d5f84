"""Databases on servers, given by their addresses alone: which side's each is, and what it is judged by.

A hub's or node's folder holds beside its database what cannot be taken from that: the authority, and attachments that
are files. Here the caller names the authority; those attachments are not looked at, and the audit says how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cryptography import x509

from congvan.audit.sources import HubSource, NodeSource
from hub.store import state as hub_state
from hub.store.schema import MIGRATIONS as HUB_MIGRATIONS
from node.store import directory, owner
from node.store.migrate import MIGRATIONS as NODE_MIGRATIONS
from runtime.database import Database, open_database
from runtime.database_options import database_settings
from runtime.passphrases import read_password
from runtime.postgres_address import PostgresAddress
from runtime.revisions import require_newest
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class Servers:
    """How servers are reached: as `[database]` says of one. Without `password_file` PGPASSFILE is asked, as by psql."""

    password_file: Path | None = None
    tls: str = "auto"
    ca_file: Path | None = None

    async def open(
        self, url: str, authority: Sequence[x509.Certificate], stack: AsyncExitStack
    ) -> HubSource | NodeSource:
        """The hub or node whose database `url` leads to, until `stack` is left; nothing is written.

        Raises `audit-address` (also for a password in it), `audit-authority` without an `authority`, `audit-source` for
        a database of neither, `database-outdated`, and what reaching a server raises.
        """
        address = self._address(url)
        if not authority:
            raise Rejected(
                "audit-authority",
                f"Nothing says under which authority {address} is to be judged.",
                mend="Give --authority FILE, the hub's authority/root.pem, or the folder of its hub or of a node.",
            )
        database = await stack.enter_async_context(open_database(address))
        if await database.read(hub_state.is_hubs):
            return await _hub(address, database, authority)
        if await database.read(owner.is_nodes):
            return await _node(address, database, authority)
        raise Rejected(
            "audit-source",
            f"{address} has neither a hub's tables nor a node's.",
            mend="Correct the name of the database, or give the folder of the hub or node.",
        )

    def _address(self, url: str) -> PostgresAddress:
        try:
            address = PostgresAddress.parse(url)
        except ValueError as error:
            raise Rejected(
                "audit-address",
                f"The address of a database is not taken: {error}.",
                mend="Write postgresql://user@host:5432/name; passwords go into files (--password-file, PGPASSFILE).",
            ) from None
        settings = database_settings(url, self.password_file, self.tls, self.ca_file, source="The audit")
        password = read_password(settings.password_file) if settings.password_file else None
        return replace(address, password=password, tls=settings.tls, ca_file=settings.ca_file)


async def _hub(address: PostgresAddress, database: Database, authority: Sequence[x509.Certificate]) -> HubSource:
    await database.read(partial(require_newest, folder=HUB_MIGRATIONS))
    found = await database.read(hub_state.find)
    if found is None:
        raise _unused(address, "hub")
    return HubSource(str(address), found.name, database, None, authority)


async def _node(address: PostgresAddress, database: Database, authority: Sequence[x509.Certificate]) -> NodeSource:
    await database.read(partial(require_newest, folder=NODE_MIGRATIONS))
    found = await database.read(owner.find)
    if found is None:
        raise _unused(address, "node")
    served = await database.read(partial(directory.codes_of, connection=found.connection))
    return NodeSource(str(address), found.connection, database, None, authority, served)


def _unused(address: PostgresAddress, side: str) -> Rejected:
    return Rejected(
        "audit-source",
        f"{address} has the tables of a {side}, and no {side} has used it yet.",
        mend="Correct the name of the database.",
    )
