"""A node put back to a backup: what the hub gives back to it is its own, whole, and attested once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from adapters.sdk import Accepted, Delivery, Outcome, Refused
from node.store import attachment_recoveries, resubmissions, standing
from node.store import messages as message_store
from node.store.states import DeliveryState, HandoverState, OutboxState
from node.usecases.amendments import Change
from schemas.errors import Rejected
from schemas.receipts import ReceiptEvent, SignedReceipt
from tests.node.core.asking import BUFFERED, becomes, bytes_arrived, events, handed, outbox_row, statuses_sent
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually, open_node
from tests.node.core.world import G22, H23, H31, World, digest_of, document, envelope
from tests.services.columns import DatabaseColumn

LONG = b"%PDF-" + bytes(300_000)


@pytest.fixture
async def restored(tmp_path: Path, world: World, hub: HubSimulator, column: DatabaseColumn) -> AsyncIterator[Node]:
    """The same node, put back to a backup of its first day: it has the directory and nothing else."""
    async with open_node(tmp_path / "restored", world.identity(), hub.url, column) as node:
        await node.directory.sync(node.hub)
        yield node


def saying(outcome: Outcome) -> Callable[[Delivery], Awaitable[Outcome]]:
    async def answer(_delivery: Delivery) -> Outcome:
        return outcome

    return answer


async def attested(node: Node, hub: HubSimulator, data: bytes) -> list[SignedReceipt]:
    """What the node tells of a message that it takes in and hands over."""
    hub.deliver(data, [H23])
    async with node.running():
        await eventually(lambda: len(hub.receipts_reported()) == 2)
    return hub.receipts_reported()


@pytest.mark.parametrize("outcome", [Accepted(), Refused("Sai nơi nhận")], ids=["taken", "refused"])
async def test_what_was_attested_before_is_attested_once(
    node: Node, restored: Node, hub: HubSimulator, world: World, outcome: Outcome
) -> None:
    """A message that comes again is handed over under its key; told and kept are the receipts of before alone."""
    node.adapter.answer = restored.adapter.answer = saying(outcome)
    sealed = world.sealed(envelope(document(G22, H23)))
    before = await attested(node, hub, sealed.data)
    hub.deliver(sealed.data, [H23], attested=before)
    async with restored.running():
        await eventually(lambda: len(hub.receipts_reported()) >= 4)
        await eventually(lambda: len(restored.adapter.deliveries) == 1)
        await handed(
            restored,
            sealed.message_id,
            HandoverState.HANDED_OVER if isinstance(outcome, Accepted) else HandoverState.REFUSED,
        )
    assert restored.adapter.keys == node.adapter.keys
    assert {each.receipt for each in hub.receipts_reported()} == {each.receipt for each in before}
    kept = (await restored.queries.story(sealed.message_id)).receipts
    assert {row.signed.receipt for row in kept if row.recipient} == {each.receipt for each in before}


async def test_a_refusal_of_what_was_handed_over_is_told_to_nobody(
    node: Node, restored: Node, hub: HubSimulator, world: World
) -> None:
    """Software that refuses the repeat of what it had taken undoes nothing: no failure is attested, no 02 is sent."""
    sealed = world.sealed(envelope(document(G22, H23)))
    before = await attested(node, hub, sealed.data)
    hub.deliver(sealed.data, [H23], attested=before)
    restored.adapter.answer = saying(Refused("Văn bản đã có"))
    async with restored.running():
        await handed(restored, sealed.message_id, HandoverState.HANDED_OVER)
        await eventually(lambda: len(hub.receipts_reported()) >= 3)
    assert {each.receipt for each in hub.receipts_reported()} == {each.receipt for each in before}
    assert await statuses_sent(restored) == [("01", sealed.message_id)]


async def test_receipts_that_are_not_its_own_are_passed_over(
    restored: Node, node: Node, hub: HubSimulator, world: World
) -> None:
    """A receipt about another message, or of another issuer, is not taken for one's own: the event is attested anew."""
    other = world.sealed(envelope(document(G22, H23), submission_id="another"))
    before = await attested(node, hub, other.data)
    sealed = world.sealed(envelope(document(G22, H23)))
    of_hub = hub.receipt(ReceiptEvent.SUBMISSION_ACCEPTANCE, sealed.message_id, G22)
    hub.deliver(sealed.data, [H23], attested=[*before, of_hub])
    async with restored.running():
        await eventually(lambda: len(hub.receipts_reported()) == 4)
    assert events(hub.receipts_reported()[2:], world) == [
        (ReceiptEvent.CONTENT_CONSIGNMENT, sealed.message_id, "H23"),
        (ReceiptEvent.CONTENT_HANDOVER, sealed.message_id, "H23"),
    ]


async def sent(node: Node, hub: HubSimulator, tmp_path: Path) -> str:
    """A document of ours with a long attachment, which the hub has accepted and tells of."""
    path = tmp_path / "dài.pdf"
    path.write_bytes(LONG)
    async with node.running("sender"):
        message_id = await node.submit(document(), path)
        await becomes(node, message_id, OutboxState.ACCEPTED)
    hub.remembered.reported, hub.remembered.newest_sent = 7, message_id
    return message_id


async def waiting(node: Node) -> bool:
    return bool(await node.database.read(attachment_recoveries.waiting))


async def mark_of(node: Node) -> int:
    return (await node.database.read(standing.of_hub)).mark


async def test_a_recovery_that_breaks_off_is_asked_again(
    tmp_path: Path, node: Node, world: World, hub: HubSimulator, column: DatabaseColumn
) -> None:
    """Wherever it is stopped, the node does not count as caught up: the steps are asked again, and nothing doubles."""
    message_id = await sent(node, hub, tmp_path)
    folder = tmp_path / "restored"
    for hub.remembered.failing, asked in (
        ("envelope", ["sent", "envelope"]),
        ("replays", ["sent", "envelope", "replays"]),
    ):
        # Stopped while it does not get on: the next start knows only what was committed.
        async with open_node(folder, world.identity(), hub.url, column) as restored:
            await restored.directory.sync(restored.hub)
            async with restored.running("receiver"):
                await eventually(lambda: hub.remembered.failing in hub.remembered.asked)
            assert hub.remembered.asked[: len(asked)] == asked
            assert await mark_of(restored) == 0
        hub.remembered.asked.clear()
    hub.remembered.failing = None
    async with open_node(folder, world.identity(), hub.url, column) as restored:
        async with restored.running():

            async def caught_up() -> bool:
                return await mark_of(restored) == 7 and not await waiting(restored)

            await eventually(caught_up)
        assert hub.remembered.asked == ["sent", "replays after 0"]
        rows = await restored.queries.outbox(limit=10)
        assert [row.message.message_id for row in rows] == [message_id]


async def test_attachments_of_what_it_sent_follow_from_where_they_broke_off(
    tmp_path: Path, node: Node, restored: Node, hub: HubSimulator
) -> None:
    """The bytes of a message that is fetched back come as well, by themselves, across cuts of the connection."""
    message_id = await sent(node, hub, tmp_path)
    async with restored.running("receiver"):
        await eventually(lambda: waiting(restored))
    assert (await outbox_row(restored, message_id)).state is OutboxState.ACCEPTED, "its bytes hold up nothing"
    hub.faults.cut_blobs_at, hub.faults.before_cut = [100_000], partial(bytes_arrived, restored, digest_of(LONG))
    async with restored.running("own-attachments"):

        async def complete() -> bool:
            return not await waiting(restored)

        await eventually(complete)
    assert [lease for _, lease in hub.blob_reads] == ["", ""], "no lease is needed for what is ours"
    assert hub.blob_reads[0][0] == 0
    assert 100_000 - BUFFERED <= hub.blob_reads[1][0] <= 100_000
    assert await restored.blobs.size(digest_of(LONG)) == len(LONG)


async def test_who_was_added_after_the_backup_is_recalled_with_the_others(
    node: Node, restored: Node, hub: HubSimulator
) -> None:
    """A copy that is fetched back is known as one: a recall by the document's number asks all who have the document."""
    async with node.running("sender"):
        ours = await node.submit(document(H23, G22))
        await becomes(node, ours, OutboxState.ACCEPTED)
        update = await node.amendments.update(ours, Change(reason="Sót nơi nhận"), add=[H31])
        (copy,) = (await outbox_row(node, ours)).companions
        for message_id in (update.message_id, copy.message_id):
            await becomes(node, message_id, OutboxState.ACCEPTED)
    hub.remembered.reported, hub.remembered.newest_sent = 7, copy.message_id
    async with restored.running("receiver"):

        async def caught_up() -> bool:
            return await mark_of(restored) == 7

        await eventually(caught_up)
    recall = await restored.amendments.recall(document().document_id, Change(reason="Ban hành nhầm"))
    row = await outbox_row(restored, recall.message_id)
    asked = {one.message_id for one in row.companions} | {recall.message_id}
    rows = [row for row in await restored.queries.outbox(limit=10) if row.message.message_id in asked]
    assert {(recipient.code, *row.message.about) for row in rows for recipient in row.recipients} == {
        (G22, ours),
        (H31, copy.message_id),
    }


async def test_attachments_that_the_hub_has_dropped_are_known_as_dropped(
    tmp_path: Path, node: Node, restored: Node, hub: HubSimulator
) -> None:
    """What no one has any more is not asked for again; the message is not brought to a hub that was restored."""
    message_id = await sent(node, hub, tmp_path)
    hub.purged_blobs.add(digest_of(LONG))
    async with restored.running("receiver"):
        await eventually(lambda: waiting(restored))
    async with restored.running("own-attachments"):

        async def given_up() -> bool:
            return not await waiting(restored)

        await eventually(given_up)
    assert await restored.database.read(lambda transaction: attachment_recoveries.wanted(transaction, message_id)) == ()
    assert await restored.database.read(lambda transaction: message_store.sealed(transaction, message_id))
    since = restored.clock() - timedelta(days=7)
    queued = await restored.database.write(
        lambda transaction: resubmissions.begin(transaction, since=since, at=restored.clock())
    )
    assert queued == 0


async def test_what_expired_meanwhile_stands_as_it_was(tmp_path: Path, node: Node, hub: HubSimulator) -> None:
    """A restored hub that finds a message's time over takes it no more; the outbox keeps what was attested before."""
    message_id = await sent(node, hub, tmp_path)
    before = await outbox_row(node, message_id)
    hub.faults.refuse = lambda _message_id: Rejected("already-expired", "Its time is over.")
    hub.epoch = "epoch-2"
    async with node.running("receiver", "resubmitter"):
        await eventually(lambda: len(hub.tries) == 2)

        async def ended() -> bool:
            return await node.database.read(resubmissions.count) == 0

        await eventually(ended)
    after = await outbox_row(node, message_id)
    assert (after.state, after.recipients, after.trouble) == (before.state, before.recipients, None)
    assert after.recipients[0].delivery is DeliveryState.ACCEPTED
    assert len(hub.tries) == 2, "it is not tried again"
