"""The node's retention: payloads go when all of a message has ended and its time is over, if the agency wants that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.sdk import Delivery, Never, Outcome
from node.settings_exchange import RetentionSettings
from node.store import messages as message_store
from node.store.states import HandoverState, OutboxState
from node.usecases import retention as retention_module
from node.usecases.leavings import Leavings
from node.usecases.retention import Retention
from runtime.blob_folder import BlobFolder
from runtime.database import Database
from schemas.errors import Rejected, Unavailable
from schemas.message import StatusCode
from schemas.receipts import ReceiptEvent
from schemas.times import DateText
from tests.node.core.asking import becomes, handed, outbox_row
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.test_receipts import receipt_of
from tests.node.core.world import G22, H23, H23_12, World, digest_of, document, envelope, recall

LONG = bytes(100_000)


def _retention(node: Node, *, sent: float = 0.0, received: float = 0.0) -> Retention:
    return Retention(
        node.database,
        Leavings(node.database, node.blobs, node.clock),
        clock=node.clock,
        settings=RetentionSettings(sent_days=sent, received_days=received),
        window=timedelta(days=2),
    )


async def _purge(retention: Retention) -> None:
    while await retention.step():
        pass


async def _is_kept(node: Node, message_id: str) -> bool:
    return await node.database.read(lambda transaction: message_store.sealed(transaction, message_id)) is not None


async def _received(node: Node, hub: HubSimulator, world: World, *contents: bytes, name: str = "1") -> str:
    sealed = world.sealed(envelope(document(G22, H23, document_id=f"G22,2026/11/22,{name}"), *contents))
    hub.deliver(sealed.data, [H23], contents)
    await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    return sealed.message_id


async def test_a_received_payload_goes_after_its_time_and_all_else_stays(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """Bytes of envelope and attachments go; story and receipts are as before, and who asks for bytes is told so."""
    async with node.running():
        message_id = await _received(node, hub, world, b"short", LONG)
    story = await node.queries.story(message_id)
    retention = _retention(node, received=10)
    node.clock.ahead = timedelta(days=9.9)
    await _purge(retention)
    assert await _is_kept(node, message_id)
    node.clock.ahead = timedelta(days=10.1)
    await _purge(retention)
    assert not await _is_kept(node, message_id)
    assert await node.attachments.small(digest_of(b"short")) is None
    assert [digest async for digest in node.blobs.digests()] == []
    later = await node.queries.story(message_id)
    assert later.message.purged_at is not None
    assert later.events == story.events
    assert later.receipts == story.receipts
    assert later.attachments == story.attachments
    for asked in (node.queries.sealed(message_id), node.responder.respond(message_id, StatusCode.ACCEPTED)):
        with pytest.raises(Rejected, match=r"dropped on \d{4}-\d\d-\d\d by the retention rule") as caught:
            await asked
        assert caught.value.code == "payload-purged"


async def test_a_sent_payload_goes_when_every_delivery_has_ended(
    node: Node, hub: HubSimulator, world: World, tmp_path: Path
) -> None:
    """A message that one recipient has not stored is kept, however old; then the days count from the last receipt."""
    path = tmp_path / "lớn.bin"
    path.write_bytes(LONG)
    async with node.running():
        message_id = await node.submit(document(H23, G22), path)
        await becomes(node, message_id, OutboxState.ACCEPTED)
        retention = _retention(node, sent=10)
        node.clock.ahead = timedelta(days=30)
        await _purge(retention)
        assert await _is_kept(node, message_id)
        for recipient in (await outbox_row(node, message_id)).recipients:
            hub.deliver_receipt(
                receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, message_id, recipient=recipient.code)
            )

        async def ended() -> bool:
            row = await outbox_row(node, message_id)
            return all(recipient.delivery == "consigned" for recipient in row.recipients)

        await eventually(ended, "every delivery has ended")
    # Ten days count from the end of the window of two in which it may have to be brought to a restored hub again.
    node.clock.ahead += timedelta(days=11)
    await _purge(retention)
    assert await _is_kept(node, message_id)
    node.clock.ahead += timedelta(days=2)
    await _purge(retention)
    assert not await _is_kept(node, message_id)
    assert [digest async for digest in node.blobs.digests()] == []
    assert await node.submit(document(H23, G22), path) == message_id


async def test_what_has_not_been_sent_or_handed_over_is_never_dropped(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A message that rests in the outbox, and one that is parked before the software, keep their bytes for years."""

    async def park(_delivery: Delivery) -> Outcome:
        return Never("The register is closed.")

    node.adapter.answer = park
    hub.faults.refuse = lambda _id: Unavailable("revocation-unknown", "Down.")
    async with node.running():
        resting = await node.submit(document())
        await becomes(node, resting, OutboxState.RESTING)
        sealed = world.sealed(envelope(document(G22, H23)))
        hub.deliver(sealed.data, [H23])
        await handed(node, sealed.message_id, HandoverState.PARKED)
    node.clock.ahead = timedelta(days=3000)
    await _purge(_retention(node, sent=1, received=1))
    assert await _is_kept(node, resting)
    assert await _is_kept(node, sealed.message_id)


async def test_a_document_is_kept_while_a_request_about_it_is_open(node: Node, hub: HubSimulator, world: World) -> None:
    """A recall that the agency has not answered keeps its own bytes and those of the document that it asks for."""
    original = document(G22, H23)
    first = world.sealed(envelope(original))
    second = world.sealed(envelope(recall(original), about=[first.message_id]))
    retention = _retention(node, received=10)
    async with node.running():
        for sealed in (first, second):
            hub.deliver(sealed.data, [H23])
            await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
        node.clock.ahead = timedelta(days=11)
        await _purge(retention)
        assert await _is_kept(node, first.message_id)
        assert await _is_kept(node, second.message_id)
        await node.responder.respond(first.message_id, StatusCode.REQUEST_REFUSED, description="Đã xử lý")
    node.clock.ahead = timedelta(days=22)
    await _purge(retention)
    assert not await _is_kept(node, first.message_id)
    assert not await _is_kept(node, second.message_id)


async def test_a_request_that_nobody_answers_is_not_waited_for_for_ever(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """After twice the time the recall and the document go, though nobody has answered."""
    original = document(G22, H23)
    first = world.sealed(envelope(original))
    second = world.sealed(envelope(recall(original), about=[first.message_id]))
    async with node.running():
        for sealed in (first, second):
            hub.deliver(sealed.data, [H23])
            await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    for days, kept in ((19, True), (30, False)):
        node.clock.ahead = timedelta(days=days)
        await _purge(_retention(node, received=10))
        assert [await _is_kept(node, one.message_id) for one in (first, second)] == [kept, kept]


async def test_a_document_is_kept_until_it_is_finished(node: Node, hub: HubSimulator, world: World) -> None:
    """With a deadline it is kept while it is worked on; twice the time after the deadline it goes nevertheless."""
    near, far, done = (
        world.sealed(envelope(replace(document(G22, H23), due_date=DateText.of(day)), submission_id=str(place)))
        for place, day in enumerate(node.clock().date() + timedelta(days=days) for days in (5, 60, 60))
    )
    async with node.running():
        for sealed in (near, far, done):
            hub.deliver(sealed.data, [H23])
            await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    await node.responder.respond(done.message_id, StatusCode.FINISHED)
    for days, kept in ((11, [True, True, False]), (36, [False, True, False])):
        node.clock.ahead = timedelta(days=days)
        await _purge(_retention(node, received=10))
        assert [await _is_kept(node, one.message_id) for one in (near, far, done)] == kept
    await node.responder.respond(far.message_id, StatusCode.FINISHED)
    node.clock.ahead = timedelta(days=47)
    await _purge(_retention(node, received=10))
    assert not await _is_kept(node, far.message_id)


async def test_a_shared_attachment_stays_until_the_last_message_goes(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """Dropping one message takes no bytes from another that names the same attachments."""
    async with node.running():
        first = await _received(node, hub, world, b"short", LONG, name="1")
        node.clock.ahead = timedelta(days=6)
        second = await _received(node, hub, world, b"short", LONG, name="2")
    retention = _retention(node, received=10)
    node.clock.ahead = timedelta(days=11)
    await _purge(retention)
    assert (await _is_kept(node, first), await _is_kept(node, second)) == (False, True)
    assert await node.attachments.small(digest_of(b"short")) == b"short"
    assert await node.attachments.is_blob(digest_of(LONG))
    node.clock.ahead = timedelta(days=17)
    await _purge(retention)
    assert await node.attachments.small(digest_of(b"short")) is None
    assert not await node.attachments.is_blob(digest_of(LONG))


async def test_a_message_that_comes_again_for_another_agency_has_its_bytes_again(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """The hub may offer a dropped message for an agency that had not got it; a plain repeat keeps nothing."""
    contents = (b"short", LONG)
    sealed = world.sealed(envelope(document(G22, H23, H23_12), *contents))
    retention = _retention(node, received=10)
    async with node.running():
        hub.deliver(sealed.data, [H23], contents)
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
        node.clock.ahead = timedelta(days=11)
        await _purge(retention)
        hub.deliver(sealed.data, [H23], contents)
        await eventually(lambda: not hub.mailbox)
        assert not await _is_kept(node, sealed.message_id)
        hub.deliver(sealed.data, [H23_12], contents)
        await eventually(lambda: len(node.adapter.deliveries) == 2)
    assert node.adapter.deliveries[1].sealed == sealed.data
    assert await node.attachments.small(digest_of(b"short")) == b"short"
    assert await node.attachments.is_blob(digest_of(LONG))
    node.clock.ahead = timedelta(days=22)
    await _purge(retention)
    assert not await _is_kept(node, sealed.message_id)


@pytest.mark.parametrize("stop_at", range(4))
async def test_a_purge_that_is_killed_anywhere_is_finished_by_the_next(
    stop_at: int, node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step is the last before the end, the next start drops the rest, and nothing that is needed."""
    monkeypatch.setattr(retention_module, "_MESSAGES", 1)
    async with node.running():
        for number in range(2):
            await _received(node, hub, world, LONG, LONG + bytes([number]), name=str(number))
        node.clock.ahead = timedelta(days=20)
        kept = await _received(node, hub, world, LONG, name="kept")
    write, collect, left = Database.write, BlobFolder.collect, stop_at

    def step() -> None:
        nonlocal left
        if left == 0:
            raise Unavailable("killed", "The process is gone.")
        left -= 1

    async def write_and_die(self, work):
        step()
        return await write(self, work)

    async def collect_and_die(self, digest, *, placed_before):
        step()
        return await collect(self, digest, placed_before=placed_before)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", write_and_die)
        patch.setattr(BlobFolder, "collect", collect_and_die)
        with pytest.raises(Unavailable):
            await _purge(_retention(node, received=10))
    await _purge(_retention(node, received=10))
    await Leavings(node.database, node.blobs, node.clock).drop()
    assert await _is_kept(node, kept)
    assert [digest async for digest in node.blobs.digests()] == [digest_of(LONG)]
