"""From the outbox to the hub's acknowledgement, whatever happens on the way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from node.settings_exchange import BackoffSettings, ExchangeSettings
from node.store.states import DeliveryState, OutboxState
from node.usecases.shipping import LIGHT
from node.usecases.work import Work
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.message import Priority
from schemas.receipts import Reason, ReceiptEvent
from tests.node.core.asking import becomes, has_trouble, outbox_row
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually, open_node
from tests.node.core.world import H23, World, document, recall
from tests.services.columns import DatabaseColumn


async def test_a_submitted_document_reaches_the_hub_and_its_acknowledgement_is_kept(
    node: Node, hub: HubSimulator
) -> None:
    """What is submitted is accepted by the hub, and the hub's verified receipt stands with it in the outbox."""
    async with node.running("sender"):
        message_id = await node.submit(document())
        row = await becomes(node, message_id, OutboxState.ACCEPTED)
    story = await node.queries.story(message_id)
    assert [receipt.event for receipt in story.receipts] == [ReceiptEvent.SUBMISSION_ACCEPTANCE]
    assert [recipient.delivery for recipient in row.recipients] == [DeliveryState.ACCEPTED]
    assert row.accepted_at == story.receipts[0].occurred_at
    assert hub.accepted[message_id].data == await node.queries.sealed(message_id)


async def test_what_the_hub_refuses_is_shown_in_the_outbox_and_not_tried_again(node: Node, hub: HubSimulator) -> None:
    """A refusal stands in the outbox with its rule, element, line and mend, and the message is not sent again."""
    hub.faults.refuse = lambda _id: Rejected(
        "recipient-suspended", "The recipient G22 is suspended.", element="MessageHeader/To", line=3, mend="Wait."
    )
    async with node.running("sender"):
        message_id = await node.submit(document())
        row = await becomes(node, message_id, OutboxState.REFUSED)
        other = await node.submit(document(), key="2")
        await becomes(node, other, OutboxState.REFUSED)
    trouble = row.trouble
    assert trouble is not None
    assert (trouble.code, trouble.element, trouble.line, trouble.mend) == (
        "recipient-suspended",
        "MessageHeader/To",
        3,
        "Wait.",
    )
    assert [recipient.delivery for recipient in row.recipients] == [DeliveryState.REFUSED]
    assert hub.tries.count(message_id) == 1


@pytest.mark.parametrize("is_forged", [False, True])
async def test_the_hubs_receipt_of_its_refusal_is_kept_if_it_holds(
    node: Node, hub: HubSimulator, world: World, is_forged: bool
) -> None:
    """The signed refusal stands with the refused message; one that a stranger signed is not kept."""

    def refuse(message_id: str) -> CongvanError:
        error = Rejected("recipient-suspended", "The recipient G22 is suspended.")
        error.receipt = hub.receipt(
            ReceiptEvent.SUBMISSION_REJECTION,
            message_id,
            H23,
            reason=Reason(error.code, error.message),
            key=world.forged_receipts_key if is_forged else None,
        )
        return error

    hub.faults.refuse = refuse
    async with node.running("sender"):
        message_id = await node.submit(document())
        await becomes(node, message_id, OutboxState.REFUSED)
    kept = (await node.queries.story(message_id)).receipts
    assert [(receipt.event, receipt.trouble.code if receipt.trouble else None) for receipt in kept] == (
        [] if is_forged else [(ReceiptEvent.SUBMISSION_REJECTION, "recipient-suspended")]
    )


@pytest.mark.parametrize("code", ["connection-suspended", "unauthenticated", "not-a-hub"])
async def test_a_refusal_of_the_node_itself_refuses_no_document(node: Node, hub: HubSimulator, code: str) -> None:
    """When the hub refuses the connection rather than the message, the message waits, and goes once that is mended."""
    hub.faults.refuse = lambda _id: Rejected(code, "Not you.")
    async with node.running("sender"):
        message_id = await node.submit(document())
        await has_trouble(node, message_id, code)
        hub.faults.refuse = lambda _id: None
        await becomes(node, message_id, OutboxState.ACCEPTED)


async def test_a_forged_acknowledgement_is_not_believed(node: Node, hub: HubSimulator, world: World) -> None:
    """An acknowledgement signed by a stranger leaves the message waiting; the true one is then accepted."""
    hub.faults.acknowledge_with = world.forged_receipts_key
    async with node.running("sender"):
        message_id = await node.submit(document())
        row = await has_trouble(node, message_id, "acknowledgement-refused")
        assert row.state is not OutboxState.ACCEPTED
        assert (await node.queries.story(message_id)).receipts == ()
        hub.faults.acknowledge_with = None
        await becomes(node, message_id, OutboxState.ACCEPTED)


async def test_an_acknowledgement_of_another_message_is_not_believed(node: Node, hub: HubSimulator) -> None:
    """A true receipt of the hub that speaks of another message acknowledges nothing."""
    hub.faults.acknowledge_other = "ab" * 32
    async with node.running("sender"):
        message_id = await node.submit(document())
        row = await has_trouble(node, message_id, "acknowledgement-refused")
    assert row.state.is_waiting


async def test_while_the_hub_is_away_messages_wait_and_say_why(node: Node, hub: HubSimulator) -> None:
    """An unreachable hub loses nothing: the outbox says since when and why it waits, and sends when the hub is back."""
    hub.faults.down = True
    async with node.running("sender"):
        message_id = await node.submit(document())
        row = await has_trouble(node, message_id, "hub-unreachable")
        assert row.attempts >= 1
        assert row.tried_at is not None
        hub.faults.down = False
        await becomes(node, message_id, OutboxState.ACCEPTED)


@pytest.mark.parametrize("code", ["database-unreachable", "clock-differs"])
async def test_what_rested_for_the_hub_goes_when_it_is_back(node: Node, hub: HubSimulator, code: str) -> None:
    """A message put off because the hub could serve nobody does not rest out its time once the hub is back."""
    resting = SETTINGS.sender.model_copy(update={"backoff": BackoffSettings(first=1000.0, longest=1000.0)})
    node.settings = SETTINGS.model_copy(update={"sender": resting})
    hub.faults.refuse = lambda _id: Unavailable(code, "Down.")
    async with node.running("sender"):
        message_id = await node.submit(document())
        await becomes(node, message_id, OutboxState.RESTING)
        hub.faults.refuse = lambda _id: None

        async def went_when_woken() -> bool:
            # The failure may still be on its way to the worker that is woken.
            node.wakeups.wake(Work.RECOVERY)
            return (await outbox_row(node, message_id)).state is OutboxState.ACCEPTED

        await eventually(went_when_woken)


async def test_a_request_that_fails_with_many_messages_is_one_failure(node: Node, hub: HubSimulator) -> None:
    """After a failure that took many messages along the sender waits as after one: a request is soon tried again."""
    patient = SETTINGS.sender.model_copy(update={"backoff": BackoffSettings(first=0.05)})
    node.settings = SETTINGS.model_copy(update={"sender": patient})
    hub.faults.refuse = lambda name: Unavailable("hub-failed", "Down.") if hub.tries.count(name) == 1 else None
    waiting = [await node.submit(document(), key=str(number)) for number in range(16)]
    async with node.running("sender"):
        for message_id in waiting:
            await becomes(node, message_id, OutboxState.ACCEPTED)


async def test_the_wait_that_a_hub_asks_for_is_kept(node: Node, hub: HubSimulator) -> None:
    """After a 503 with Retry-After the next try is not before that time."""

    def busy(_message_id: str) -> CongvanError:
        error = Unavailable("revocation-unknown", "The revocation source is down.")
        error.retry_after = 100.0
        return error

    hub.faults.refuse = busy
    patient = SETTINGS.sender.model_copy(update={"backoff": BackoffSettings()})
    node.settings = SETTINGS.model_copy(update={"sender": patient})
    async with node.running("sender"):
        message_id = await node.submit(document())
        row = await has_trouble(node, message_id, "revocation-unknown")
    assert row.state is OutboxState.RESTING
    assert row.next_attempt_at is not None
    assert row.tried_at is not None
    assert row.next_attempt_at - row.tried_at >= timedelta(seconds=100)


async def test_a_clock_set_back_holds_nothing_up(node: Node, hub: HubSimulator) -> None:
    """A message put off by a clock that ran days ahead is sent when the clock is right again."""
    resting = SETTINGS.sender.model_copy(update={"backoff": BackoffSettings(first=20.0, longest=20.0)})
    node.settings = SETTINGS.model_copy(update={"sender": resting})
    node.clock.ahead = timedelta(days=3)
    hub.faults.refuse = lambda _id: Unavailable("revocation-unknown", "Down.")
    async with node.running("sender"):
        message_id = await node.submit(document())
        await becomes(node, message_id, OutboxState.RESTING)
        node.clock.ahead = timedelta(0)
        hub.faults.refuse = lambda _id: None
        await node.submit(document(), key="one that wakes the sender")
        await becomes(node, message_id, OutboxState.ACCEPTED)


@pytest.mark.parametrize("cuts", [[1], [70_000], [0, 65_536, 199_999], [150_000, 150_000]])
async def test_an_upload_that_breaks_goes_on_from_there(
    node: Node, hub: HubSimulator, tmp_path: Path, cuts: list[int]
) -> None:
    """Wherever the connection breaks, the upload goes on with the byte that the hub lacks, and all bytes are there."""
    content = bytes(range(250)) * 800
    path = tmp_path / "báo cáo.pdf"
    path.write_bytes(content)
    hub.faults.cut_uploads_at = list(cuts)
    async with node.running("sender"):
        message_id = await node.submit(document(), path)
        await becomes(node, message_id, OutboxState.ACCEPTED)
    assert list(hub.accepted[message_id].brought.values()) == [content]
    assert hub.faults.cut_uploads_at == []
    ends = [0, *(end for _, end in hub.uploaded)]
    assert [start for start, _ in hub.uploaded] == ends[:-1]


async def test_an_upload_goes_on_after_a_restart(
    hub: HubSimulator, world: World, tmp_path: Path, column: DatabaseColumn
) -> None:
    """A node that dies in the middle of an upload sends only what is missing after its restart."""
    path = tmp_path / "lớn.bin"
    path.write_bytes(bytes(300_000))
    hub.faults.cut_uploads_at = [131_072]
    async with open_node(tmp_path / "node", world.identity(), hub.url, column) as node:
        await node.directory.sync(node.hub)
        message_id = await node.submit(document(), path)

        async with node.running("sender"):
            await eventually(lambda: bool(hub.uploaded))
            hub.faults.down = True
    hub.faults.down = False
    async with open_node(tmp_path / "node", world.identity(), hub.url, column) as node, node.running("sender"):
        await becomes(node, message_id, OutboxState.ACCEPTED)
    assert hub.uploaded == [(0, 131_072), (131_072, 300_000)]


async def test_short_attachments_travel_with_the_submission(node: Node, hub: HubSimulator, tmp_path: Path) -> None:
    """Attachments up to 64 KiB go along in the first request; nothing is left to upload."""
    small, empty = tmp_path / "nhỏ.txt", tmp_path / "rỗng.txt"
    small.write_bytes(b"x" * 65536)
    empty.write_bytes(b"")
    async with node.running("sender"):
        message_id = await node.submit(document(), small, empty)
        await becomes(node, message_id, OutboxState.ACCEPTED)
    assert sorted(hub.accepted[message_id].brought.values()) == [b"", b"x" * 65536]
    assert hub.uploaded == []
    assert hub.tries == [message_id]


async def test_short_attachments_are_not_sent_again_with_the_long_ones(
    node: Node, hub: HubSimulator, tmp_path: Path
) -> None:
    """When long attachments are uploaded after the first request, the second brings the envelope alone."""
    small, large = tmp_path / "nhỏ.txt", tmp_path / "lớn.bin"
    small.write_bytes(b"x")
    large.write_bytes(bytes(100_000))
    async with node.running("sender"):
        message_id = await node.submit(document(), small, large)
        await becomes(node, message_id, OutboxState.ACCEPTED)
    assert hub.brought_along == [1, 0]
    assert sorted(map(len, hub.accepted[message_id].brought.values())) == [1, 100_000]


async def test_the_most_urgent_goes_first_and_in_a_lane_the_oldest(
    node: Node, hub: HubSimulator, tmp_path: Path
) -> None:
    """Of what waits, express goes before very urgent, urgent and normal, and equals in the order of submission."""
    long = long_file(tmp_path)
    priorities = [Priority.NORMAL, Priority.URGENT, Priority.NORMAL, Priority.EXPRESS, Priority.VERY_URGENT]
    names = [
        await node.submit(document(priority=priority), long, key=str(number))
        for number, priority in enumerate(priorities)
    ]
    node.settings = with_workers(2, express_reserve=1)
    async with node.running("sender"):
        for name in names:
            await becomes(node, name, OutboxState.ACCEPTED)
    # The worker that is kept for express documents and the other one set out together.
    assert set(hub.order[:2]) == {names[3], names[4]}
    assert hub.order[2:] == [names[1], names[0], names[2]]


async def test_ordinary_documents_leave_room_for_express_ones(node: Node, hub: HubSimulator, tmp_path: Path) -> None:
    """While ordinary documents hold every place that they may have, an express one is sent all the same."""
    long = long_file(tmp_path)
    hub.faults.hold = lambda envelope: envelope.priority is Priority.NORMAL
    node.settings = with_workers(3, express_reserve=1)
    slow = [await node.submit(document(), long, key=f"slow {number}") for number in range(5)]
    async with node.running("sender"):
        await eventually(lambda: len(hub.tries) == 2)
        express = await node.submit(document(priority=Priority.EXPRESS), long, key="express")
        await becomes(node, express, OutboxState.ACCEPTED)
        assert set(hub.tries) == {*slow[:2], express}
        hub.faults.hold = lambda _envelope: False
        for name in slow:
            await becomes(node, name, OutboxState.ACCEPTED)


async def test_light_documents_go_beside_those_that_go_by_themselves(
    node: Node, hub: HubSimulator, tmp_path: Path
) -> None:
    """While long documents hold every place of those that go by themselves, light ones are sent, many together."""
    hub.faults.hold = lambda envelope: bool(envelope.extension.attachment_sizes)
    node.settings = with_workers(2, express_reserve=1)
    long = long_file(tmp_path)
    waiting = [await node.submit(document(), long, key=f"long {number}") for number in range(3)]
    light = [await node.submit(document(), key=f"light {number}") for number in range(12)]
    async with node.running("sender"):
        for name in light:
            await becomes(node, name, OutboxState.ACCEPTED)
        assert set(hub.tries) == {*light, waiting[0]}
        assert len(hub.batches) < len(light) / 2
        hub.faults.hold = lambda _envelope: False
        for name in waiting:
            await becomes(node, name, OutboxState.ACCEPTED)


async def test_large_documents_leave_a_place_to_short_ones(node: Node, hub: HubSimulator, tmp_path: Path) -> None:
    """However many large ordinary documents wait, a short one that came after them is sent beside them."""
    large = tmp_path / "lớn.pdf"
    large.write_bytes(bytes(2_000_000))
    hub.faults.hold = lambda envelope: bool(envelope.extension.attachment_sizes)
    node.settings = with_workers(4, express_reserve=1, bulk_bytes=2_000_000)
    waiting = [await node.submit(document(), large, key=f"large {number}") for number in range(12)]
    short = await node.submit(document(), key="short")
    async with node.running("sender"):
        await becomes(node, short, OutboxState.ACCEPTED)
        assert set(hub.tries) == {*waiting[:2], short}
        hub.faults.hold = lambda _envelope: False
        for name in waiting:
            await becomes(node, name, OutboxState.ACCEPTED)


async def test_a_message_is_never_in_two_submissions_at_once(node: Node, hub: HubSimulator) -> None:
    """While a submission is on its way, wake-ups start no second one of the same message."""
    hub.faults.hold = lambda _envelope: True
    async with node.running("sender"):
        message_id = await node.submit(document())
        await eventually(lambda: bool(hub.tries))
        # Express, for it would wait for the request of the first; when it is tried, the outbox was looked through.
        other = await node.submit(document(priority=Priority.EXPRESS), key="2")
        await eventually(lambda: other in hub.tries)
        hub.faults.hold = lambda _envelope: False
        await becomes(node, message_id, OutboxState.ACCEPTED)
    assert hub.tries.count(message_id) == 1


async def test_a_recall_goes_only_after_its_document_is_acknowledged(node: Node, hub: HubSimulator) -> None:
    """A successor is held until the hub has acknowledged the document, and takes that into its own lane."""
    original = document(document_id="H23,2026/11/20,1/UBND")
    first = await node.submit(original)
    bulk = await node.submit(document(document_id="H23,2026/11/20,2/UBND", priority=Priority.URGENT), key="2")
    express = recall(document(document_id="H23,2026/11/20,1/UBND", priority=Priority.EXPRESS))
    second = await node.submit(express, key="3")
    assert (await outbox_row(node, second)).state is OutboxState.HELD
    node.settings = with_workers(2, express_reserve=1)
    async with node.running("sender"):
        await becomes(node, second, OutboxState.ACCEPTED)
        await becomes(node, bulk, OutboxState.ACCEPTED)
    assert hub.order.index(first) < hub.order.index(second)
    assert (await node.queries.story(second)).message.about == (first,)


async def test_what_speaks_of_a_refused_document_is_refused_with_it(node: Node, hub: HubSimulator) -> None:
    """When the document is refused, its recall in the outbox is refused too and says why; nothing waits for ever."""
    original = document()
    first = await node.submit(original)
    second = await node.submit(recall(original), key="2")
    hub.faults.refuse = lambda _id: Rejected("recipient-retired", "Gone.")
    async with node.running("sender"):
        row = await becomes(node, second, OutboxState.REFUSED)
    assert row.trouble is not None
    assert row.trouble.code == "predecessor-refused"
    assert second not in hub.tries
    assert hub.tries == [first]


async def test_a_message_that_the_hub_chokes_on_holds_up_no_other(node: Node, hub: HubSimulator) -> None:
    """A message that makes the hub fail every time rests, and the others get through."""
    poison = await node.submit(document(priority=Priority.EXPRESS))
    hub.faults.refuse = lambda name: Unavailable("internal", "The hub failed.") if name == poison else None
    async with node.running("sender"):
        others = [await node.submit(document(), key=f"other {number}") for number in range(3)]
        for name in others:
            await becomes(node, name, OutboxState.ACCEPTED)
        assert (await outbox_row(node, poison)).state.is_waiting


def long_file(folder: Path) -> Path:
    """An attachment with which a document goes by itself."""
    path = folder / "dài.pdf"
    path.write_bytes(bytes(LIGHT + 1))
    return path


def with_workers(parallel: int, *, express_reserve: int, bulk_bytes: int = 1 << 24) -> ExchangeSettings:
    sender = SETTINGS.sender.model_copy(
        update={"parallel": parallel, "express_reserve": express_reserve, "bulk_bytes": bulk_bytes}
    )
    return SETTINGS.model_copy(update={"sender": sender})
