"""What the database does under the exchange: plans of its questions, a full disk, a crash between file and row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from hub.store import directory_tables, exchange_tables, mark_tables, space_tables, unit_tables
from hub.store.metadata import metadata
from runtime.blob_folder import BlobFolder
from schemas.errors import Unavailable
from tests.hub.exchange.conftest import Running, World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node, rejection
from tests.hub.exchange.whole_way import statements, the_whole_way
from tests.services.columns import ON_SQLITE
from transport.wire import SubmissionState

LONG = bytes(range(256)) * 1200

#: Tables that stay small, or of which one row is asked for: reading all of them costs nothing.
_SMALL = {"trust_anchors", "directory_versions", "fanout_batches", "hub_state", "space_reservations"}

#: An index of nothing but what is under way is meant to be read as a whole: the sum of it is asked for.
_OF_WHAT_IS_UNDER_WAY = "SCAN uploads USING INDEX ix_uploads_incomplete"


async def test_the_migrations_make_the_tables_that_the_stores_work_on(world: World) -> None:
    """A database made by the migrations has just the tables, columns and indexes that the code declares."""

    def differences(connection: Connection) -> list[Any]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    # All modules of tables are there to be compared.
    assert {
        directory_tables.agencies,
        exchange_tables.messages,
        mark_tables.connection_marks,
        space_tables.space_reservations,
        unit_tables.unit_requests,
    } <= set(metadata.tables.values())
    assert await world.database.read(differences) == []


@ON_SQLITE
async def test_every_question_of_the_exchange_is_answered_by_an_index(world: World, g22: Node, h23: Node) -> None:
    """No statement of a document's way reads a whole table that grows, nor sorts a mailbox."""
    with statements() as run:
        await the_whole_way(world, g22, h23)
    assert len(run) > 40
    scans, sorts = [], []
    with world.database._reader.connect() as connection:
        for statement, parameters in run.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            scans += [
                (row.detail, statement)
                for row in plan
                if (found := re.match(r"SCAN (\w+)", row.detail))
                and found[1] not in _SMALL | {"CONSTANT"}
                and row.detail != _OF_WHAT_IS_UNDER_WAY
            ]
            sorts += [statement for row in plan if "TEMP B-TREE" in row.detail and "mailbox_entries" in statement]
    assert scans == []
    assert sorts == []


@contextmanager
def _full(world: World) -> Iterator[None]:
    """Leave the database no room to grow: SQLite then says what it says on a full disk."""

    def limit(pages: Callable[[int], int]) -> None:
        with world.database._writer.connect() as connection:
            held = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages(held)}")

    limit(lambda held: held)
    try:
        yield
    finally:
        limit(lambda held: held + 1_000_000)


@ON_SQLITE
@pytest.mark.parametrize("attachment", [None, LONG], ids=["envelope", "attachment"])
async def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    attachment: bytes | None, world: World, g22: Node, h23: Node
) -> None:
    """A submission that the database cannot take is for later; once there is room the same one is accepted."""
    attachments = [attachment] if attachment else []
    sealed = g22.seal(document("G22", "H23", subject="ư" * 20_000, attachments=attachments))
    brought = {digest_of(content): content for content in attachments}
    with _full(world):
        error = await rejection(g22.client.submit(sealed.data, brought))
        assert isinstance(error, Unavailable)
        assert error.code == "storage-full"
    for table in ("messages", "deliveries", "mailbox_entries", "receipts"):
        assert await world.count(table) == 0
    assert (await g22.client.submit(sealed.data, brought)).state is SubmissionState.ACCEPTED
    (entry,) = await h23.envelopes()
    assert entry.envelope == sealed.data


@ON_SQLITE
async def test_a_full_disk_has_a_status_of_its_own(world: World, g22: Node, h23: Node) -> None:
    """A hub without room answers 507, with a problem document that says so."""
    sealed = g22.seal(document("G22", "H23", subject="ư" * 20_000))
    url = g22.client._hub.with_path("/v1/envelopes")
    with _full(world):
        async with g22.session.post(url, data=sealed.data, headers={"Content-Type": "application/xml"}) as answer:
            assert (answer.status, answer.content_type) == (507, "application/problem+json")


async def test_nothing_is_accepted_whose_attachment_a_sweep_may_have_taken(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acceptance that comes to its transaction too late after placing a file is not made; the next try is."""
    place = BlobFolder.place

    async def place_and_linger(self: BlobFolder, upload: str, digest: str) -> None:
        await place(self, upload, digest)
        world.clock.advance(minutes=31)

    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    with monkeypatch.context() as patch:
        patch.setattr(BlobFolder, "place", place_and_linger)
        error = await rejection(g22.client.submit(data, {digest_of(LONG): LONG}))
    assert isinstance(error, Unavailable)
    assert error.code == "blobs-placed-too-long-ago"
    assert await world.count("messages") == 0
    assert (await g22.client.submit(data, {digest_of(LONG): LONG})).state is SubmissionState.ACCEPTED


async def test_a_crash_between_the_file_and_its_row_is_made_good(
    running: Running, world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that dies when the attachment is in its place and nothing is committed accepts the next submission."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads

    async def content():
        yield LONG

    await g22.client.upload(needed.location, 0, content())
    place = BlobFolder.place

    async def place_and_die(self: BlobFolder, upload: str, digest: str) -> None:
        await place(self, upload, digest)
        raise Unavailable("died", "The process ends here.")

    with monkeypatch.context() as patch:
        patch.setattr(BlobFolder, "place", place_and_die)
        assert (await rejection(g22.client.submit(data, {}))).code == "died"
    assert await world.count("messages") == 0
    async with running() as restarted:
        again = await restarted.node("vpcp", ("G22",), g22.key)
        assert (await again.client.submit(data, {})).state is SubmissionState.ACCEPTED
