"""PostgreSQL's plans in a hub that has been at work for long: what a document asks is found by an index."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from certs.authority import Authority
from certs.sealing_key import SealingKey
from hub.store.schema import MIGRATIONS
from runtime.database import open_database
from runtime.migrations import upgrade
from tests.hub.exchange.conftest import Ground, Running, World
from tests.hub.exchange.nodes import Node
from tests.hub.exchange.whole_way import statements, the_whole_way
from tests.services.columns import PostgresColumn

#: Messages that were delivered and receipted, between as many agencies as there are hundreds of them.
_MESSAGES: Final = 5_000
#: Of how many rows reading all is no plan for one document.
_MANY: Final = 1000
#: After so many plans for values the server may take to one for all of them (its manual, PREPARE).
_UNTIL_KEPT: Final = 7

_FILL: Final = f"""
SET session_replication_role = replica;
INSERT INTO connections (connection, name, status, created_at)
    SELECT 'c' || n, 'C', 'active', 1 FROM generate_series(0, 199) n;
INSERT INTO client_certificates (fingerprint, connection, not_after, issued_at)
    SELECT 'f' || n, 'c' || n % 200, 9, 1 FROM generate_series(0, 399) n;
INSERT INTO seal_certificates (connection, fingerprint, certificate, added_at)
    SELECT 'c' || n % 200, 's' || n, 'x', 1 FROM generate_series(0, 399) n;
INSERT INTO agencies (code, name, connection, status, added_at)
    SELECT 'K' || n, 'A', 'c' || n % 200, 'active', 1 FROM generate_series(0, 4999) n;
INSERT INTO older_codes (older_code, code) SELECT '000.' || n, 'K' || n FROM generate_series(0, 4999) n;
INSERT INTO directory_versions (number, digest, document, issued_at, expires_at)
    SELECT n, 'd', 'x', 1, 9 FROM generate_series(1, 2000) n;
INSERT INTO messages (message, message_id, from_code, sender, connection, kind, document_id, priority, lane,
        accepted_at, expires_at, directory_version, recipients_count, recipients_digest, weight, kept_from)
    SELECT n, md5(n::text), 'K' || n % 200, 'K' || n % 200, 'c' || n % 200, 'document', 'd' || n, 0, 3,
        1700000000000000 + n, 9000000000000000, 1, 2, 'd', 9, 8000000000000000 FROM generate_series(1, {_MESSAGES}) n;
INSERT INTO envelopes (message, body) SELECT n, 'x' FROM generate_series(1, {_MESSAGES}) n;
INSERT INTO messages_about (about, message) SELECT n, n + 1 FROM generate_series(1, {_MESSAGES} - 1) n;
INSERT INTO blobs (digest, size, content) SELECT md5(n::text), 1, 'x' FROM generate_series(1, {_MESSAGES}) n;
INSERT INTO message_blobs (message, digest, inline) SELECT n, md5(n::text), true FROM generate_series(1, {_MESSAGES}) n;
INSERT INTO deliveries (message, recipient, connection, state, updated_at)
    SELECT n, 'K' || (n + m) % 5000, 'c' || (n + m) % 200, CASE WHEN n % 10 = 0 THEN 'expired' ELSE 'delivered' END, n
    FROM generate_series(1, {_MESSAGES}) n, generate_series(1, 2) m;
INSERT INTO proofs (digest, body) SELECT 'p' || n, 'x' FROM generate_series(1, {_MESSAGES}) n;
INSERT INTO receipts (receipt, message, recipient, event, stored_at, body, proof)
    SELECT n * 2 + m, n, 'K' || n % 5000, 'E' || m, n, 'x', 'p' || n
    FROM generate_series(1, {_MESSAGES}) n, generate_series(0, 1) m;
INSERT INTO mailbox_entries (entry, connection, lane, message, receipt, codes, weight, open, available_at, lapses,
        attempts, mark, closed_at, expires_at)
    SELECT n * 3 + m, 'c' || (n + m) % 200, 3, n, CASE WHEN m > 0 THEN n * 2 + m - 1 END, 'K1', 9, n % 50 = 0, 1, 0, 0,
        n, 9, 9000000000000000
    FROM generate_series(1, {_MESSAGES}) n, generate_series(0, 2) m;
INSERT INTO submissions (submission, connection, from_code, message_id, touched_at)
    SELECT n, 'c' || n % 200, 'K1', md5(n::text), 8000000000000000 FROM generate_series(1, 2000) n;
INSERT INTO uploads (upload, submission, digest, size, file, complete)
    SELECT 'u' || n, n, md5(n::text), 9, 'f' || n, n % 2 = 0 FROM generate_series(1, 2000) n;
SELECT setval(pg_get_serial_sequence(name, number), 1000000)
    FROM (VALUES ('messages', 'message'), ('receipts', 'receipt'), ('mailbox_entries', 'entry'),
        ('submissions', 'submission')) AS numbered (name, number);
"""


@pytest.fixture
def ground(issued: tuple[Authority, SealingKey], tmp_path: Path, postgres_column: PostgresColumn) -> Ground:
    """A database of its own: what the server has learnt of it is not to outlast it."""
    return Ground(*issued, postgres_column.place(tmp_path / "hub.db"))


@pytest.fixture
async def world(ground: Ground, running: Running, postgres_column: PostgresColumn) -> AsyncIterator[World]:
    async with open_database(ground.database) as database:
        await upgrade(database, MIGRATIONS)
    name = postgres_column._given[-1][0]
    postgres_column.server.sql(_FILL, name)
    postgres_column.server.sql("VACUUM ANALYZE", name)
    async with running() as world:
        yield world
    postgres_column.forget()


async def test_what_a_document_asks_is_found_by_an_index(world: World, g22: Node, h23: Node) -> None:
    """No statement of a document's way reads a table of many rows, neither at first nor once its plan is kept."""
    many = await world.database.read(_tables_of_many_rows)
    with statements() as said:
        await the_whole_way(world, g22, h23)
    said = {statement: values for statement, values in said.items() if "pg_" not in statement}
    assert len(said) > 60
    plans = await world.database.read(lambda connection: list(_plans(connection, said)))
    read_whole = [
        f"{found[1]}: {statement}\n{plan}"
        for statement, plan in plans
        if (found := re.search(r"Seq Scan on (\w+)", plan)) and found[1] in many
    ]
    assert read_whole == []


def _tables_of_many_rows(connection: Connection) -> set[str]:
    question = f"SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > {_MANY}"
    return set(connection.exec_driver_sql(question).scalars())


def _plans(connection: Connection, said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The plan of each statement when it is said first, and the one that the server keeps to later."""
    for number, (statement, values) in enumerate(said.items()):
        connection.exec_driver_sql(f"PREPARE said_{number} AS {statement}")
        told = f"({', '.join(map(_literal, values))})" if values else ""
        plans = [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN EXECUTE said_{number}{told}").scalars())
            for _ in range(_UNTIL_KEPT)
        ]
        yield statement, plans[0]
        yield statement, plans[-1]


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"'\\x{value.hex()}'"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return str(value)
