"""What people ask a node, and what it knows of its hub."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from node.settings_exchange import BackoffSettings
from node.store.states import DeliveryState, HandoverState, OutboxState
from schemas.errors import Rejected
from schemas.message import Priority
from tests.node.core.asking import arrives, becomes, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually, open_node
from tests.node.core.world import G22, H23, H23_12, H31, World, document, envelope
from tests.services.columns import DatabaseColumn


async def test_the_lists_show_the_newest_first_and_filter(node: Node, hub: HubSimulator, world: World) -> None:
    """Outbox and inbox list the newest first, up to the limit; `waiting` and `refused` pick what they say."""
    hub.faults.refuse = lambda name: Rejected("no", "No.") if name == refused else None
    sent = await node.submit(document(), key="1")
    refused = await node.submit(document(), key="2")
    async with node.running("sender"):
        await becomes(node, sent, OutboxState.ACCEPTED)
        await becomes(node, refused, OutboxState.REFUSED)
    waiting = await node.submit(document(H23, G22, H31, priority=Priority.URGENT), key="3")

    async def outbox(**asked: bool) -> list[str]:
        return [row.message.message_id for row in await node.queries.outbox(**asked)]

    assert await outbox() == [waiting, refused, sent]
    assert await outbox(waiting=True) == [waiting]
    assert await outbox(refused=True) == [refused]
    assert await outbox(waiting=True, refused=True) == [waiting, refused]
    assert [row.message.message_id for row in await node.queries.outbox(limit=1)] == [waiting]
    (row,) = await node.queries.outbox(waiting=True)
    assert row.message.priority is Priority.URGENT
    assert [(recipient.code, recipient.name) for recipient in row.recipients] == [
        (G22, "Văn phòng Chính phủ"),
        (H31, "UBND tỉnh Hưng Yên"),
    ]


async def test_a_message_is_named_by_id_beginning_or_document_id(node: Node, hub: HubSimulator, world: World) -> None:
    """A story is found by the id, a unique beginning of it, or the DocumentId, which means the newest that bears it."""
    older = await node.submit(document(document_id="H23,2026/11/21,1/A"), key="1")
    newer = await node.submit(document(document_id="H23,2026/11/21,1/A"), key="2")
    for name, found in ((older, older), (older[:9], older), ("H23,2026/11/21,1/A", newer)):
        assert (await node.queries.story(name)).message.message_id == found
    assert await node.queries.sealed(newer[:9]) == await node.queries.sealed(newer)
    for name in ("ab" * 32, "0123", "H23,2026/11/21,2/B"):
        with pytest.raises(Rejected) as caught:
            await node.queries.story(name)
        assert caught.value.code == "message-unknown"
    await node.database.write(
        lambda connection: connection.execute(
            text(
                "INSERT INTO messages (message_id, kind, sender, priority, lane, sealed_bytes)"
                " SELECT :new, kind, sender, priority, lane, sealed_bytes FROM messages WHERE message_id = :old"
            ),
            {"new": older[:8] + "0" * 56, "old": older},
        )
    )
    with pytest.raises(Rejected) as caught:
        await node.queries.story(older[:8])
    assert caught.value.code == "message-ambiguous"


async def test_the_story_of_a_received_message_has_its_steps(node: Node, hub: HubSimulator, world: World) -> None:
    """The story of a document received tells acceptance, arrival, hand-over, receipts and the status sent, in order."""
    sealed = world.sealed(envelope(document(G22, H23), b"content"))
    hub.deliver(sealed.data, [H23], [b"content"])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    story = await node.queries.story(sealed.message_id)
    events = [step.event for step in story.events]
    assert set(events) == {
        "message.accepted",
        "receipt.SubmissionAcceptance",
        "message.arrived",
        "receipt.ContentConsignment",
        "receipt.ContentHandover",
        "message.handed-over",
        "status.01",
    }
    assert set(events[:2]) == {"message.accepted", "receipt.SubmissionAcceptance"}
    assert events.index("message.arrived") < events.index("message.handed-over")
    assert [step.at for step in story.events] == sorted(step.at for step in story.events)
    assert [attachment.size for attachment in story.attachments] == [7]
    assert story.outbox is None


async def test_a_message_between_two_agencies_of_one_node_is_in_both_boxes(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A document from one agency of this node to another is one message, sent and received, with both sides' story."""
    async with node.running():
        message_id = await node.submit(document(H23, H23_12))
        await eventually(lambda: message_id in hub.accepted)
        hub.deliver(hub.accepted[message_id].data, [H23_12])
        await handed(node, message_id, HandoverState.HANDED_OVER)
    story = await node.queries.story(message_id)
    assert story.outbox is not None
    assert story.inbox is not None
    assert story.inbox.handovers[0].code == H23_12


async def test_the_status_counts_what_is_where(node: Node, hub: HubSimulator, world: World) -> None:
    """The status says how much waits, since when, how the hub was last seen, and which directory is held."""
    await node.submit(document(), key="1")
    hub.deliver(world.sealed(envelope(document(G22, H23))).data, [H23])
    async with node.running("receiver"):

        async def seen() -> bool:
            status = await node.queries.status()
            return status.contact.last_contact_at is not None and status.inbox == 1

        await eventually(seen)
    status = await node.queries.status()
    ours, answer = reversed(await node.queries.outbox(waiting=True))
    assert str(answer.message.status) == "01"
    assert status.outbox[OutboxState.READY] == 2
    assert status.oldest_waiting_at == ours.created_at
    assert status.handovers[HandoverState.READY] == 1
    assert status.reports_waiting == 1
    assert (status.directory.version, status.directory.latest, status.directory.agencies) == (1, 1, 4)
    assert status.served_codes == (H23, H23_12)
    assert status.contact.epoch == hub.epoch
    assert status.contact.trouble is None
    assert status.free_bytes > 0


async def test_a_hub_that_goes_away_is_noted_until_it_is_back(node: Node, hub: HubSimulator) -> None:
    """While the hub cannot be reached the status says since when and why; when it is back, waiting work goes on."""
    patient = SETTINGS.sender.model_copy(update={"backoff": BackoffSettings(first=900.0)})
    node.settings = SETTINGS.model_copy(update={"sender": patient})
    async with node.running():

        async def met() -> bool:
            return (await node.queries.status()).contact.last_contact_at is not None

        await eventually(met)
        hub.faults.down = True
        message_id = await node.submit(document())

        async def lost() -> bool:
            contact = (await node.queries.status()).contact
            return contact.unreachable_since is not None and contact.trouble is not None

        await eventually(lost)

        async def rests() -> bool:
            return (await node.queries.status()).outbox[OutboxState.RESTING] == 1

        await eventually(rests)
        hub.faults.down = False
        # Its own next try would be in a quarter of an hour.
        await becomes(node, message_id, OutboxState.ACCEPTED)
        contact = (await node.queries.status()).contact
        assert (contact.unreachable_since, contact.trouble) == (None, None)


async def test_a_wrong_clock_is_said_and_refuses_nothing(node: Node, hub: HubSimulator, world: World) -> None:
    """A clock hours off is an alert in the log and the status; what arrives meanwhile arrives."""
    node.clock.ahead = timedelta(hours=-7)
    sealed = world.sealed(envelope(document(G22, H23)))
    with capture_logs() as logs:
        hub.deliver(sealed.data, [H23])
        async with node.running("receiver"):
            await arrives(node, sealed.message_id)
    assert [entry["event"] for entry in logs].count("clock.differs") == 1
    contact = (await node.queries.status()).contact
    assert contact.clock_ahead is not None
    assert -7 * 3600 - 60 < contact.clock_ahead < -7 * 3600 + 60


async def test_the_balance_counts_each_delivery_once(node: Node, hub: HubSimulator, world: World) -> None:
    """For each sending agency and in all: accepted is delivered, refused, expired, cancelled and pending together."""
    names = [
        await node.submit(document(H23, G22, H31), key="1"),
        await node.submit(document(H23_12, G22), key="2"),
    ]
    async with node.running("sender"):
        for name in names:
            await becomes(node, name, OutboxState.ACCEPTED)
    await node.submit(document(H23), key="not yet accepted")
    states = {(names[0], G22): DeliveryState.HANDED_OVER, (names[0], H31): DeliveryState.EXPIRED}
    for (name, code), state in states.items():
        await node.database.write(
            partial(
                Connection.execute,
                statement=text(
                    "UPDATE outbox_recipients SET delivery = :state WHERE message_id = :name AND code = :code"
                ),
                parameters={"state": state, "name": name, "code": code.value},
            )
        )
    rows = await node.queries.balance()
    assert [(row.code, row.accepted, row.delivered, row.expired, row.pending) for row in rows] == [
        (H23, 2, 1, 1, 0),
        (H23_12, 1, 0, 0, 1),
        (None, 3, 1, 1, 1),
    ]


async def test_commands_beside_the_daemon_see_and_add(
    node: Node, hub: HubSimulator, world: World, tmp_path: Path, column: DatabaseColumn
) -> None:
    """A second opening of the same folder, as a command is, submits while the daemon runs; the daemon sends it."""
    async with node.running("sender"), open_node(tmp_path / "node", world.identity(), hub.url, column) as command:
        message_id = await command.submit(document())
        node.wakeups.wake("sending")
        await becomes(command, message_id, OutboxState.ACCEPTED)
