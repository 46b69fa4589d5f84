"""The node's migrations give exactly the tables that its store speaks of."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from node.store.migrate import MIGRATIONS
from node.store.tables import metadata
from runtime.database import open_database
from runtime.migrations import upgrade


async def test_the_migrations_make_the_tables_that_the_store_declares(tmp_path: Path) -> None:
    """After `upgrade` no table, column, index or constraint differs from what the store declares."""

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    def without_rowid(connection: Connection) -> set[str]:
        statements = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        return {row.name for row in statements if "WITHOUT ROWID" in row.sql}

    async with open_database(tmp_path / "node.db") as database:
        before, after = await upgrade(database, MIGRATIONS)
        assert before is None
        assert after is not None
        assert await database.read(differences) == []
        declared = {
            table.name for table in metadata.tables.values() if table.dialect_options["sqlite"]["with_rowid"] is False
        }
        assert await database.read(without_rowid) == declared


async def test_a_second_upgrade_changes_nothing(tmp_path: Path) -> None:
    """A database at the newest revision is left as it is."""
    async with open_database(tmp_path / "node.db") as database:
        _, newest = await upgrade(database, MIGRATIONS)
        assert await upgrade(database, MIGRATIONS) == (newest, newest)
        assert await database.read(lambda connection: "outbox" in inspect(connection).get_table_names())
