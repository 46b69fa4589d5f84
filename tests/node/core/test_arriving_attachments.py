"""Attachments that come with a message: whole, checked, from where they broke off; and disks that are full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from node.store.states import HandoverState
from schemas.message import Priority
from tests.node.core.asking import BUFFERED, arrives, bytes_arrived, handed, inbox_row
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually
from tests.node.core.world import G22, H23, World, digest_of, document, envelope
from tests.services.columns import ON_SQLITE
from transport.wire import OutcomeKind


async def test_wrong_bytes_of_a_short_attachment_are_not_taken(node: Node, hub: HubSimulator, world: World) -> None:
    """When the hub sends other bytes along than the envelope names, the message is put off, not stored with them."""
    sealed = world.sealed(envelope(document(G22, H23), b"right"))
    entry = hub.deliver(sealed.data, [H23], [b"right"])
    waiting = hub.mailbox[entry]
    waiting.entry = waiting.entry.model_copy(update={"attachments": {digest_of(b"right"): b"wrong"}})
    async with node.running("receiver", "reporter"):
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
    assert await inbox_row(node, sealed.message_id) is None


LARGE = bytes(range(256)) * 2000


@pytest.mark.parametrize("cuts", [[], [100_000], [100_000, 250_000, 400_000]])
async def test_a_long_attachment_is_fetched_from_where_it_broke_off(
    node: Node, hub: HubSimulator, world: World, cuts: list[int]
) -> None:
    """A long attachment comes whole, each read going on from what has arrived, under the entry's lease."""
    sealed = world.sealed(envelope(document(G22, H23), LARGE))
    entry = hub.deliver(sealed.data, [H23], [LARGE], inline=False)
    hub.faults.cut_blobs_at, hub.faults.before_cut = list(cuts), partial(bytes_arrived, node, digest_of(LARGE))
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    starts = [start for start, _ in hub.blob_reads]
    assert len(starts) == len(cuts) + 1
    assert all(cut - BUFFERED <= start <= cut for start, cut in zip(starts[1:], cuts, strict=True))
    assert {lease.partition(":")[0] for _, lease in hub.blob_reads} == {str(entry)}
    async with node.facade.open_attachment(digest_of(LARGE)) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == LARGE


async def test_damaged_remains_of_a_download_are_fetched_anew(node: Node, hub: HubSimulator, world: World) -> None:
    """What a power cut has spoilt in a half-fetched attachment is noticed by its digest and fetched once more."""

    async def spoilt() -> AsyncIterator[bytes]:
        yield b"\0" * 1000

    await node.blobs.append(f"in{digest_of(LARGE)}", 0, spoilt(), limit=1000)
    sealed = world.sealed(envelope(document(G22, H23), LARGE))
    hub.deliver(sealed.data, [H23], [LARGE], inline=False)
    async with node.running("receiver"):
        await arrives(node, sealed.message_id)
    assert [start for start, _ in hub.blob_reads] == [1000, 0]


async def test_a_message_whose_attachment_was_taken_back_is_released(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A delivery may end while its attachments are fetched: the entry is handed back with the hub's reason."""
    sealed = world.sealed(envelope(document(G22, H23), LARGE))
    entry = hub.deliver(sealed.data, [H23], [LARGE], inline=False)
    hub.purged_blobs.add(digest_of(LARGE))
    async with node.running("receiver", "reporter"):
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])


async def test_a_blob_of_other_bytes_is_never_taken(node: Node, hub: HubSimulator, world: World) -> None:
    """When the hub's blob is not what the envelope names, the message is put off and no wrong file stays."""
    sealed = world.sealed(envelope(document(G22, H23), LARGE))
    entry = hub.deliver(sealed.data, [H23], [LARGE], inline=False)
    hub.faults.wrong_blobs = {digest_of(LARGE): bytes(len(LARGE))}
    async with node.running("receiver"):
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
    assert await inbox_row(node, sealed.message_id) is None
    assert await node.blobs.size(digest_of(LARGE)) is None


async def test_a_long_download_renews_its_lease_by_new_reads(node: Node, hub: HubSimulator, world: World) -> None:
    """A download that outlasts a third of the lease goes on by further ranged reads, which renew it."""
    hub.lease_seconds = 3.0
    hub.faults.slow_blobs = 0.2
    content = LARGE
    sealed = world.sealed(envelope(document(G22, H23), content))
    hub.deliver(sealed.data, [H23], [content], inline=False)
    async with node.running("receiver"):
        await arrives(node, sealed.message_id)
    starts = [start for start, _ in hub.blob_reads]
    assert len(starts) > 1
    assert starts == sorted(set(starts))


async def test_a_slow_attachment_holds_up_no_other_message(node: Node, hub: HubSimulator, world: World) -> None:
    """While ordinary downloads take all their places, short messages arrive and express ones are fetched."""
    node.settings = SETTINGS.model_copy(update={"receiver": SETTINGS.receiver.model_copy(update={"downloads": 1})})
    hub.faults.hold_blobs = {digest_of(LARGE)}
    slow = world.sealed(envelope(document(G22, H23), LARGE))
    crowd = world.sealed(envelope(document(G22, H23), LARGE + b"2", submission_id="crowd"))
    hub.deliver(slow.data, [H23], [LARGE], inline=False)
    async with node.running("receiver", "reporter"):
        await eventually(lambda: len(hub.blob_reads) == 1)
        crowded = hub.deliver(crowd.data, [H23], [LARGE + b"2"], inline=False)
        short = world.sealed(envelope(document(G22, H23), submission_id="short"))
        hub.deliver(short.data, [H23])
        urgent = world.sealed(envelope(document(G22, H23, priority=Priority.EXPRESS), LARGE + b"3"))
        hub.deliver(urgent.data, [H23], [LARGE + b"3"], inline=False)
        await arrives(node, short.message_id)
        await arrives(node, urgent.message_id)
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [crowded])
        assert await inbox_row(node, slow.message_id) is None
        hub.faults.hold_blobs = set()
        await arrives(node, slow.message_id)


async def test_a_lapsed_lease_goes_on_with_the_new_one(node: Node, hub: HubSimulator, world: World) -> None:
    """A message whose lease lapsed during its download is not fetched twice, and is told of once, on the new lease."""
    hub.faults.hold_blobs = {digest_of(LARGE)}
    sealed = world.sealed(envelope(document(G22, H23), LARGE))
    entry = hub.deliver(sealed.data, [H23], [LARGE], inline=False)
    async with node.running("receiver", "reporter"):
        await eventually(lambda: len(hub.blob_reads) == 1)
        hub.offer_again(entry)
        await eventually(lambda: hub.mailbox[entry].leased_until is not None)
        # One more answer shows that the one with the new lease has been taken in.
        hub.deliver(world.sealed(envelope(document(G22, H23), submission_id="next")).data, [H23])
        await eventually(lambda: len(hub.outcomes(OutcomeKind.CONSIGNED)) == 1)
        hub.faults.hold_blobs = set()
        await arrives(node, sealed.message_id)
        await eventually(lambda: entry in hub.outcomes(OutcomeKind.CONSIGNED))
    assert len(hub.blob_reads) == 1
    assert hub.outcomes(OutcomeKind.CONSIGNED).count(entry) == 1
    assert (await node.queries.status()).reports_waiting == 0


async def test_a_full_disk_takes_nothing_in_and_goes_on_when_there_is_space(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk has less than the reserve nothing is fetched; then what waited arrives."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    node.settings = SETTINGS.model_copy(
        update={"receiver": SETTINGS.receiver.model_copy(update={"reserve_bytes": 1000})}
    )
    asked: list[int] = []

    def nearly_none() -> int:
        asked.append(1)
        return 999

    monkeypatch.setattr(node.blobs, "free_bytes", nearly_none)
    async with node.running("receiver"):
        await eventually(lambda: len(asked) > 3)
        assert all(waiting.leased_until is None for waiting in hub.mailbox.values())
        monkeypatch.undo()
        await arrives(node, sealed.message_id)


@ON_SQLITE
async def test_a_full_database_releases_and_keeps_nothing_half(node: Node, hub: HubSimulator, world: World) -> None:
    """When the database can take no more, the message is released and nothing of it stored; with space it arrives."""
    limit = await node.database.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    await node.database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {limit}").scalar_one())
    sealed = world.sealed(envelope(document(G22, H23), b"x" * 60_000))
    entry = hub.deliver(sealed.data, [H23], [b"x" * 60_000])
    async with node.running("receiver", "reporter"):
        await eventually(lambda: entry in hub.outcomes(OutcomeKind.RELEASED))
        assert await inbox_row(node, sealed.message_id) is None
        assert await node.attachments.small(digest_of(b"x" * 60_000)) is None
        await node.database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar_one())
        hub.offer_again(entry)
        await arrives(node, sealed.message_id)
