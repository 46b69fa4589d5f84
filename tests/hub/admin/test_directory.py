"""The directory's store and answers: resolution, ranges, batches, renewal, and indexes for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event

from certs.signed_directory import AppliedVersion, verify_version
from hub.foundation import Foundation
from hub.store import agencies, connections, directory, enrolments
from hub.store.directory_tables import agencies as agencies_table
from hub.store.exchange_tables import messages as messages_table
from hub.store.metadata import Transaction, metadata
from hub.usecases.agencies import NewAgency
from hub.usecases.connections import PAGE
from hub.usecases.directory import ANSWER_VERSIONS, DirectoryRenewal, directory_after
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from tests.clocks import certain
from tests.hub.admin.conftest import Clock, Node, RunningHub, enrol


async def fill(office: Foundation, codes: Iterable[str]) -> None:
    """Put agencies straight into the tables, without a version for each."""
    rows = [
        {"code": code, "name": code, "connection": "many", "status": EntryStatus.ACTIVE, "added_at": office.clock()}
        for code in codes
    ]

    def write(transaction: Transaction) -> None:
        connections.add(transaction, "many", "Many", at=office.clock())
        transaction.execute(agencies_table.insert(), rows)

    await office.database.write(write)


async def test_codes_of_today_and_older_ones_resolve(office: Foundation) -> None:
    """Either kind of code finds the agency, under the code that was asked for; unknown ones are left out."""
    older = AgencyCode("000.00.00.H23")
    await office.agencies.add(NewAgency(AgencyCode("H23"), "Hải Dương", (older,)), actor="test")
    await fill(office, (f"H31.{number}" for number in range(1200)))
    asked = ["H23", "000.00.00.H23", "H99", *(f"H31.{number}" for number in range(1200)), "H23"]
    found = await office.database.read(lambda t: agencies.resolve(t, asked))
    assert set(found) == set(asked) - {"H99"}
    assert found["000.00.00.H23"] == found["H23"]
    assert found["H23"].code == "H23"
    assert found["H31.1199"].connection == "many"


async def test_below_goes_part_by_part(office: Foundation) -> None:
    """A prefix covers itself and what stands below it, not what merely begins with the same letters."""
    await fill(office, ["H2A", "H23", "H23.1", "H23.1.5", "H23.12", "H23A", "H24", "G22"])

    def codes(prefix: str) -> Callable[[Transaction], list[str]]:
        return lambda t: [agency.code for agency in agencies.below(t, prefix)]

    assert await office.database.read(codes("H23")) == ["H23", "H23.1", "H23.1.5", "H23.12"]
    assert await office.database.read(codes("H23.1")) == ["H23.1", "H23.1.5"]
    assert await office.database.read(codes("H2")) == []
    assert len(await office.database.read(codes(""))) == 8


async def test_a_listing_of_any_length_is_read_in_pages(office: Foundation) -> None:
    """All agencies come once, in order, and never more than a page is asked for."""
    codes = sorted(f"H23.{number}" for number in range(2 * PAGE + 7))
    await fill(office, codes)
    assert [entry.code.value async for entry in office.agencies.listing()] == codes
    assert [entry.code.value async for entry in office.agencies.listing("H23.7")] == ["H23.7"]
    page = await office.database.read(lambda t: agencies.page(t, prefix="", after="", limit=PAGE))
    assert len(page) == PAGE


async def test_a_long_history_comes_in_batches(office: Foundation) -> None:
    """A node that was away for long gets the versions in order, in answers of bounded length."""
    publisher = office.publisher

    def many(transaction: Transaction) -> None:
        for _ in range(ANSWER_VERSIONS + 20):
            publisher.publish(transaction, office.clock())

    await office.database.write(many)
    seen: AppliedVersion | None = None
    lengths = []
    while seen is None or seen.number < ANSWER_VERSIONS + 21:
        answer = await directory_after(office.database, seen.number if seen else 0)
        assert answer.latest == ANSWER_VERSIONS + 21
        lengths.append(len(answer.versions))
        for document in answer.versions:
            seen = verify_version(document, [office.keys.authority.root], office.clock(), after=seen).applied
    assert lengths == [ANSWER_VERSIONS, 21]


async def test_an_answer_ends_with_the_version_that_fills_it(office: Foundation) -> None:
    """Bytes bound an answer too, but one version always comes."""
    await office.database.write(lambda t: office.publisher.publish(t, office.clock()))
    small = await office.database.read(lambda t: directory.versions_after(t, 0, count=10, size=1))
    assert len(small) == 1
    enough = await office.database.read(lambda t: directory.versions_after(t, 0, count=10, size=len(small[0]) + 1))
    assert len(enough) == 2


async def test_the_directory_is_renewed_before_it_expires(office: Foundation, clock: Clock) -> None:
    """An empty version follows when the margin is reached, not before, and once."""
    renewal = DirectoryRenewal(office.database, office.publisher, timedelta(days=10), certain(clock))
    clock.advance(timedelta(days=19))
    assert await renewal.renew_if_due() is None
    clock.advance(timedelta(days=1))
    assert await renewal.renew_if_due() == 2
    assert await renewal.renew_if_due() is None
    head = await office.database.read(directory.head)
    assert head is not None
    assert head.expires_at == clock() + timedelta(days=30)


@pytest.mark.parametrize("since", ["-1", "x", "", "1.5", "99999999999", "١"])
async def test_since_is_a_number(hub: RunningHub, tmp_path: Any, since: str) -> None:
    """What is no number of a version is refused as malformed."""
    added = await hub.office.agencies.add(NewAgency(AgencyCode("H23"), "x"), actor="test")
    assert added.token is not None
    node = Node.make(tmp_path / "node")
    async with node.speaking(hub.url, await enrol(hub.url, added.token.text, node.request)) as client:
        answer = client._session.get(f"{hub.url}/v1/directory", params={"since": since})
        async with answer as response:
            assert response.status == 400
            assert (await response.json(content_type=None))["code"] == "request-malformed"


async def test_no_question_reads_a_whole_table(office: Foundation) -> None:
    """Every question of a request or a listing is answered by an index."""
    await fill(office, ["H23", "H23.1"])
    plans: list[str] = []

    def explain(
        connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, executemany: bool
    ) -> None:
        if statement.startswith("SELECT") and not executemany:
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.extend(row[3] for row in rows)

    def ask(transaction: Transaction) -> None:
        event.listen(transaction, "before_cursor_execute", explain)
        agencies.resolve(transaction, ["H23", "H24"])
        list(agencies.below(transaction, "H23"))
        agencies.page(transaction, prefix="H23", after="H23", limit=5)
        agencies.page(transaction, prefix="", after="H23", limit=5)
        agencies.served_by(transaction, "many")
        agencies.signer_binding(transaction, AgencyCode("H23"))
        connections.entry(transaction, "many")
        connections.page(transaction, after="a", limit=5)
        connections.identify_client(transaction, "0" * 64)
        connections.enrolled_at(transaction, "many")
        directory.directory_version(transaction)
        directory.head(transaction)
        directory.versions_after(transaction, 3, count=5, size=10)
        enrolments.find(transaction, "0" * 64)
        enrolments.latest(transaction, "many")

    await office.database.read(ask)
    assert len(plans) > 15
    assert [plan for plan in plans if plan.startswith("SCAN")] == []


async def test_migrations_make_the_tables_that_the_code_declares(office: Foundation) -> None:
    """The migrated database and the tables in the code are the same; nothing is declared that no migration makes."""
    assert {agencies_table.metadata, messages_table.metadata} == {metadata}

    def differences(transaction: Transaction) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(transaction, opts={"compare_type": True}), metadata))

    assert await office.database.read(differences) == []
