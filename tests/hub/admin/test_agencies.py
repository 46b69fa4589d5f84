"""The registers of agencies and connections: each order is whole, audited, and one signed version of the directory."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from certs.keys import new_p256_key
from certs.sealing_key import SealingKey
from certs.signed_directory import AppliedVersion, verify_version
from hub.foundation import Foundation, open_foundation
from hub.settings import HubFolder
from hub.store import agencies, audit_log, connections, enrolments
from hub.store.directory import directory_version
from hub.usecases.agencies import AgencyRegister, NewAgency
from hub.usecases.directory import directory_after
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, ConnectionEntry, DirectoryVersion, EntryStatus
from schemas.errors import Rejected
from tests.hub.admin.conftest import Clock

H23, H23_12, G22 = AgencyCode("H23"), AgencyCode("H23.12"), AgencyCode("G22")
OLDER = AgencyCode("000.00.00.H23")


async def history(office: Foundation) -> list[DirectoryVersion]:
    """All versions, each verified as the successor of the one before."""
    answer = await directory_after(office.database, 0)
    versions: list[DirectoryVersion] = []
    after: AppliedVersion | None = None
    for document in answer.versions:
        verified = verify_version(document, [office.keys.authority.root], office.clock(), after=after)
        versions.append(verified.version)
        after = verified.applied
    assert answer.latest == len(versions)
    return versions


async def test_an_agency_gets_a_connection_of_its_own(office: Foundation) -> None:
    """Adding an agency makes its connection and a token, and tells the directory of both in one version."""
    added = await office.agencies.add(NewAgency(H23, "Hải Dương", (OLDER,)), actor="test")
    assert added.token is not None
    assert added.token.connection == "H23"
    newest = (await history(office))[-1]
    entry = AgencyEntry(code=H23, name="Hải Dương", older_codes=(OLDER,), connection="H23")
    assert newest.agencies == (entry,) == (added.entry,)
    assert newest.connections == (ConnectionEntry(connection="H23", name="Hải Dương"),)
    assert newest.number == added.version == 2


async def test_the_token_is_kept_as_a_digest_alone(office: Foundation, folder: HubFolder) -> None:
    """Whoever reads the database finds no token in it, nor in what the register gives out as text."""
    added = await office.agencies.add(NewAgency(H23, "Hải Dương"), actor="test")
    assert added.token is not None
    secret = added.token.text.split(".")[2]
    files = [path.read_bytes() for path in folder.data.iterdir() if path.is_file()]
    assert files
    assert not any(secret.encode() in content for content in files)
    assert secret not in repr(added)


async def test_a_connection_serves_several_agencies(office: Foundation) -> None:
    """An agency served by another's connection makes none, and no token."""
    await office.agencies.add(NewAgency(H23, "Hải Dương"), actor="test")
    added = await office.agencies.add(NewAgency(H23_12, "Sở Tư pháp", served_by="H23"), actor="test")
    assert (added.token, added.entry.connection) == (None, "H23")
    assert (await office.connections.view("H23")).codes == (H23, H23_12)
    assert (await history(office))[-1].connections == ()


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (NewAgency(H23, "again"), "agency-exists"),
        (NewAgency(OLDER, "an older code as one of today"), "code-taken"),
        (NewAgency(AgencyCode("H31"), "with another's older code", (OLDER,)), "code-taken"),
        (NewAgency(AgencyCode("H31"), "with another's code of today", (H23,)), "code-taken"),
        (NewAgency(AgencyCode("H31"), "a code twice", (AgencyCode("H31"),)), "code-repeated"),
        (NewAgency(AgencyCode("H31"), "served by nobody", served_by="H99"), "connection-unknown"),
        (NewAgency(AgencyCode("H31"), "two\nlines"), "name-malformed"),
        (NewAgency(AgencyCode("H31"), " "), "name-malformed"),
        (NewAgency(AgencyCode("H31"), "x" * 501), "name-malformed"),
        (NewAgency(G22, "whose connection's id is taken"), "connection-exists"),
    ],
)
async def test_a_conflict_changes_nothing(office: Foundation, new: NewAgency, code: str) -> None:
    """A code belongs to one agency, of today or older, an id to one connection; what conflicts leaves no trace."""
    await office.agencies.add(NewAgency(H23, "Hải Dương", (OLDER,)), actor="test")
    await office.connections.add("G22", "Văn phòng", actor="test")
    with pytest.raises(Rejected) as caught:
        await office.agencies.add(new, actor="test")
    assert caught.value.code == code
    assert caught.value.mend
    assert len(await history(office)) == 3
    assert [entry.code async for entry in office.agencies.listing()] == [H23]
    assert [listed.row.connection async for listed in office.connections.listing()] == ["G22", "H23"]


@pytest.mark.parametrize("bad", ["", "a b", "x" * 65, "-a", "ü"])
async def test_an_id_is_short_and_plain(office: Foundation, bad: str) -> None:
    """A connection's id stands in certificates, file names and URLs."""
    with pytest.raises(Rejected) as caught:
        await office.connections.add(bad, "x", actor="test")
    assert caught.value.code == "connection-id"


async def test_suspension_and_return(office: Foundation) -> None:
    """Each change of status is one version; an order for what stands already is none."""
    await office.agencies.add(NewAgency(H23, "Hải Dương", (OLDER,)), actor="test")
    for status in (EntryStatus.SUSPENDED, EntryStatus.ACTIVE):
        changed = await office.agencies.set_status(OLDER, status, actor="test")
        assert changed.subject == "H23"
        newest = (await history(office))[-1]
        assert (newest.number, newest.agencies[0].status) == (changed.version, status)
        again = await office.agencies.set_status(H23, status, actor="test")
        assert again.version is None
    assert len(await history(office)) == 4


async def test_retirement_is_for_good(office: Foundation) -> None:
    """A retired code neither comes back nor is given to another."""
    await office.agencies.add(NewAgency(H23, "Hải Dương"), actor="test")
    await office.agencies.set_status(H23, EntryStatus.RETIRED, actor="test")
    with pytest.raises(Rejected) as caught:
        await office.agencies.set_status(H23, EntryStatus.ACTIVE, actor="test")
    assert caught.value.code == "agency-retired"
    with pytest.raises(Rejected) as caught:
        await office.agencies.add(NewAgency(H23, "a successor"), actor="test")
    assert caught.value.code == "agency-exists"
    assert (await office.connections.view("H23")).codes == ()


async def test_an_agency_is_no_more_active_than_its_connection(office: Foundation) -> None:
    """What a suspended connection serves can neither be sent to nor seal."""
    await office.agencies.add(NewAgency(H23, "Hải Dương"), actor="test")
    await office.connections.set_status("H23", EntryStatus.SUSPENDED, actor="test")
    resolved = await office.database.read(lambda t: agencies.resolve(t, ["H23"])["H23"])
    assert (resolved.status, resolved.reach) == (EntryStatus.ACTIVE, EntryStatus.SUSPENDED)
    binding = await office.database.read(lambda t: agencies.signer_binding(t, H23))
    assert binding is not None
    assert binding.status is EntryStatus.SUSPENDED


async def test_two_desks_at_once_number_without_a_gap(office: Foundation, folder: HubFolder, clock: Clock) -> None:
    """Two processes that change the directory at the same moment make one chain of versions."""
    async with open_foundation(folder, clock=clock) as other:
        await asyncio.gather(
            *(
                desk.agencies.add(NewAgency(AgencyCode(f"H{place}{number}"), "x"), actor="test")
                for place, desk in enumerate((office, other), start=1)
                for number in range(8)
            )
        )
    assert [version.number for version in await history(office)] == list(range(1, 18))


async def test_a_version_that_cannot_be_signed_takes_the_change_with_it(office: Foundation) -> None:
    """The change, its version, the token and the audit entry are one transaction."""

    class Failing:
        key = None

        def publish(self, *_arguments: object, **_entries: object) -> int:
            raise ArithmeticError("the key is gone")

    register = AgencyRegister(office.database, Failing(), office.mint, office.clock)  # type: ignore[arg-type]  # a fault
    with pytest.raises(ArithmeticError):
        await register.add(NewAgency(H23, "Hải Dương"), actor="test")
    found = await office.database.read(
        lambda t: (
            agencies.find(t, H23),
            connections.find(t, "H23"),
            enrolments.latest(t, "H23"),
            audit_log.latest(t, "H23", limit=5),
        )
    )
    assert found == (None, None, None, [])


async def test_every_order_is_audited(office: Foundation) -> None:
    """Who did what, newest first, with the version that tells of it."""
    await office.agencies.add(NewAgency(H23, "Hải Dương"), actor="an")
    await office.agencies.set_status(H23, EntryStatus.SUSPENDED, actor="bình")
    await office.connections.new_token("H23", withdraw_seals=True, actor="chi")
    entries = (await office.agencies.view(H23)).history
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("chi", "connection.token"),
        ("bình", "agency.suspended"),
        ("an", "agency.added"),
    ]
    assert entries[1].detail == {"version": 3}
    assert all(entry.at == office.clock() for entry in entries)


async def test_a_key_of_another_hub_signs_no_directory(office: Foundation) -> None:
    """What another key signs does not verify: the tests above would see it."""
    key = new_p256_key()
    chain = office.keys.authority.issue_receipts(key.public_key(), "hub.example.test", office.clock())
    publisher = replace(office.publisher, key=SealingKey(key, chain))
    await office.database.write(lambda t: publisher.publish(t, office.clock()))
    with pytest.raises(Rejected) as caught:
        await history(office)
    assert caught.value.code == "directory-certificate-usage"


async def test_the_number_stands_after_a_failed_order(office: Foundation) -> None:
    """An order that is refused uses no number."""
    before = await office.database.read(directory_version)
    with pytest.raises(Rejected):
        await office.agencies.set_status(H23, EntryStatus.SUSPENDED, actor="test")
    await office.agencies.add(NewAgency(H23, "Hải Dương"), actor="test")
    assert await office.database.read(directory_version) == before + 1
