"""The copy of the directory: only signed versions in their order, applied whole, read as of any day."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from certs.errors import DirectoryRejected
from node.store import directory as directory_store
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, AnchorEntry, EntryStatus
from schemas.errors import Unavailable
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import PATIENCE, Node, open_node
from tests.node.core.world import G22, H23, H23_12, H31, OLDER_H31, OWN, World, suspended
from tests.services.columns import ON_SQLITE, DatabaseColumn


async def standing(node: Node, code: AgencyCode, version: int | None = None) -> directory_store.Standing | None:
    return await node.database.read(partial(directory_store.standing, code=code, version=version))


async def test_versions_come_in_order_until_none_is_missing(node: Node, hub: HubSimulator, world: World) -> None:
    """However many versions a hub gives at a time, sync ends with the newest, and what they say is found."""
    for number in range(5):
        world.publish(agencies=[AgencyEntry(code=AgencyCode(f"H23.{number}"), name=f"Sở {number}", connection=OWN)])
    assert await node.directory.sync(node.hub) == 6
    assert AgencyCode("H23.4") in node.directory.served_codes
    entry = await node.facade.agency(AgencyCode("H23.2"))
    assert entry is not None
    assert entry.name == "Sở 2"


async def test_codes_old_and_new_find_the_agency(node: Node) -> None:
    """An agency is found by today's code and by an older one; an unknown code finds none."""
    by_new, by_old = await node.facade.agency(H31), await node.facade.agency(OLDER_H31)
    assert by_new == by_old
    assert by_new is not None
    assert by_new.older_codes == (OLDER_H31,)
    assert await node.facade.agency(AgencyCode("K99")) is None


async def test_todays_code_goes_before_an_older_one(node: Node, world: World) -> None:
    """A code that one agency bears today and another bore once is the one that bears it today."""
    world.publish(agencies=[AgencyEntry(code=G22, name="Văn phòng", older_codes=(H31,), connection="g22")])
    await node.directory.sync(node.hub)
    entry = await node.facade.agency(H31)
    assert entry is not None
    assert entry.code == H31


async def test_the_directory_is_read_as_of_any_version(node: Node, world: World) -> None:
    """Names, status, certificates and older codes are those of the version asked for; the newest is the default."""
    renewed = world.new_seal_key("h31")
    world.publish(
        agencies=[replace(suspended(H31, "h31"), name="Đổi tên")], connections=[world.connection("h31", renewed)]
    )
    await node.directory.sync(node.hub)
    then, now = await standing(node, OLDER_H31, 1), await standing(node, H31)
    assert then is not None
    assert now is not None
    assert (then.status, then.agency.name, set(then.certificates)) == (
        EntryStatus.ACTIVE,
        "UBND tỉnh Hưng Yên",
        {world.keys["h31"].fingerprint},
    )
    assert (now.status, now.agency.name, set(now.certificates)) == (
        EntryStatus.SUSPENDED,
        "Đổi tên",
        {renewed.fingerprint},
    )
    assert await standing(node, OLDER_H31) is None


async def test_whom_a_suspended_connection_serves_is_suspended(node: Node, world: World) -> None:
    """An agency whose connection is suspended can take no part, whatever its own entry says."""
    world.publish(connections=[replace(world.connection("g22"), status=EntryStatus.SUSPENDED)])
    await node.directory.sync(node.hub)
    found = await standing(node, G22)
    assert found is not None
    assert found.status is EntryStatus.SUSPENDED


async def test_a_withdrawn_anchor_holds_for_none(node: Node, world: World) -> None:
    """An anchor with no prefixes is believed no more, but still for what was accepted before."""
    (anchor,) = await node.database.read(directory_store.anchors)
    world.publish(anchors=[AnchorEntry(certificate=anchor.certificate, prefixes=())])
    await node.directory.sync(node.hub)
    assert await node.database.read(directory_store.anchors) == ()
    assert await node.database.read(partial(directory_store.anchors, version=1)) == (anchor,)


async def test_the_codes_served_follow_the_directory(node: Node, world: World) -> None:
    """An agency taken from this node is no longer served from the next version on."""
    assert set(node.directory.served_codes) == {H23, H23_12}
    world.publish(agencies=[AgencyEntry(code=H23_12, name="Sở Tài chính", connection="h31")])
    await node.directory.sync(node.hub)
    assert list(node.directory.served_codes) == [H23]


async def test_a_changed_version_is_not_applied(node: Node, world: World) -> None:
    """A version that was not signed so, or does not follow on the last, is refused, and the copy stays as it was."""
    world.publish(agencies=[suspended(G22, "g22")])
    signed = world.versions[1]
    world.versions[1] = signed.replace(b'"signature":"', b'"signature":"AAAA', 1)
    with pytest.raises(DirectoryRejected):
        await node.directory.sync(node.hub)
    world.versions[1] = world.versions[0]
    with pytest.raises(DirectoryRejected) as caught:
        await node.directory.sync(node.hub)
    assert caught.value.code == "directory-rollback"
    assert node.directory.version == 1
    world.versions[1] = signed
    assert await node.directory.sync(node.hub) == 2


async def test_a_hub_that_is_behind_takes_nothing_away(node: Node, world: World) -> None:
    """A hub with fewer versions than the node has is said in the log; the copy is not turned back."""
    world.publish(agencies=[suspended(G22, "g22")])
    await node.directory.sync(node.hub)
    del world.versions[1:]
    with capture_logs() as logs:
        assert await node.directory.sync(node.hub) == 2
    assert [entry["event"] for entry in logs] == ["directory.behind"]


async def test_a_hub_that_promises_and_gives_nothing_is_no_endless_loop(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A hub that speaks of a newer version and brings none is told so, once."""
    world.publish(agencies=[suspended(G22, "g22")])
    hub.faults.no_versions = True
    with pytest.raises(Unavailable) as caught:
        await node.directory.sync(node.hub)
    assert caught.value.code == "hub-answer"


async def test_an_old_copy_is_warned_of(node: Node) -> None:
    """A copy past its expiry is used, and the log says that it is old."""
    with capture_logs() as logs:
        await node.directory.warn_if_expired()
        node.clock.ahead = timedelta(days=31)
        await node.directory.warn_if_expired()
    assert [entry["event"] for entry in logs] == ["directory.expired"]


async def test_two_openings_of_one_copy_apply_a_version_once(
    node: Node, hub: HubSimulator, world: World, tmp_path: Path, column: DatabaseColumn
) -> None:
    """A command that syncs beside the daemon: both end with the newest version, and it stands once."""
    world.publish(agencies=[suspended(G22, "g22")])
    async with open_node(tmp_path / "node", world.identity(), hub.url, column) as other:
        assert await other.directory.sync(other.hub) == 2
        assert await node.directory.sync(node.hub) == 2
    rows = await node.database.read(
        lambda connection: connection.exec_driver_sql(
            "SELECT since, until FROM directory_agencies WHERE code='G22'"
        ).all()
    )
    assert sorted(tuple(row) for row in rows) == [(1, 2), (2, None)]


@ON_SQLITE
async def test_a_snapshot_from_before_a_version_is_not_its_word(node: Node, world: World) -> None:
    """Who looks while a version comes sees what was before; that is not remembered as what the new version says."""
    began, applied = threading.Event(), threading.Event()

    def look(transaction: Connection) -> directory_store.Standing | None:
        directory_store.head(transaction)
        began.set()
        assert applied.wait(PATIENCE)
        return node.directory.standing(transaction, G22, node.directory.version)

    looking = asyncio.create_task(node.database.read(look))
    await asyncio.to_thread(began.wait, PATIENCE)
    world.publish(agencies=[suspended(G22, "g22")])
    assert await node.directory.sync(node.hub) == 2
    applied.set()
    await looking
    found = await node.database.read(partial(node.directory.standing_now, code=G22))
    assert found is not None
    assert found.status is EntryStatus.SUSPENDED


@pytest.mark.parametrize(("mistyped", "meant"), [("H32", "H31"), ("H23.21", "H23.12"), ("K99", None)])
async def test_a_mistyped_code_suggests_a_near_one(node: Node, mistyped: str, meant: str | None) -> None:
    """For a code that is not there, one that looks like it is found, if there is any."""
    near = await node.directory.near(AgencyCode(mistyped))
    assert (near.value if near else None) == meant
