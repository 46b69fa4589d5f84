"""Statuses: what an agency of ours may say next, and where a document of ours stands by what others say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from node.store.message_tables import outbox
from node.store.recovered import RECOVERED
from node.store.states import HandoverState, OutboxState, Standing
from schemas.errors import Rejected
from schemas.message import StatusCode
from tests.node.core.asking import becomes, handed, outbox_row, statuses_sent
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually, open_node
from tests.node.core.world import G22, H23, World, document, envelope, recall, status
from tests.services.columns import DatabaseColumn


async def rejection(work: object) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await work  # type: ignore[misc]  # any awaitable
    return caught.value


async def arrived(node: Node, hub: HubSimulator, *envelopes: bytes) -> None:
    for data in envelopes:
        hub.deliver(data, [H23])

    async def all_here() -> bool:
        return (await node.queries.status()).inbox == len(envelopes)

    async with node.running("receiver"):
        await eventually(all_here)


async def test_an_answer_out_of_order_is_explained(node: Node, hub: HubSimulator, world: World) -> None:
    """Whoever goes back is told the last status given and what may follow, in both languages."""
    sealed = world.sealed(envelope(document(G22, H23)))
    await arrived(node, hub, sealed.data)
    await node.responder.respond(sealed.message_id, StatusCode.PROCESSING)
    error = await rejection(node.responder.respond(sealed.message_id, StatusCode.ACCEPTED))
    assert (error.code, error.element) == ("status-transition", "MessageHeader/StatusCode")
    assert "05 đang xử lý (in processing)" in error.message
    assert "only 02 từ chối tiếp nhận (refused), 04 đã phân công xử lý (assigned), 05" in error.message
    await node.responder.respond(sealed.message_id, StatusCode.FINISHED)
    assert [code for code, _ in await statuses_sent(node)] == ["01", "05", "06"]
    error = await rejection(node.responder.respond(sealed.message_id, StatusCode.PROCESSING, description="Xem lại"))
    assert "nothing may follow" in error.message


async def test_an_adapter_is_held_to_the_same_order(node: Node, hub: HubSimulator, world: World) -> None:
    """A status that software submits by DocumentId is checked like a person's; a repeated key is no error."""
    original = document(G22, H23)
    await arrived(node, hub, world.sealed(envelope(original)).data)
    finished = await node.submit(status(H23, original, StatusCode.FINISHED), key="finish")
    assert await node.submit(status(H23, original, StatusCode.FINISHED), key="finish") == finished
    error = await rejection(node.submit(status(H23, original), key="accept"))
    assert error.code == "status-transition"


async def test_what_software_says_once_more_is_said_already(node: Node, hub: HubSimulator, world: World) -> None:
    """01 after the node's own, and the last status in the same words, are answered with what said so before."""
    original = document(G22, H23)
    await arrived(node, hub, world.sealed(envelope(original)).data)
    (own,) = await node.queries.outbox()

    async def say(code: StatusCode, key: str, text: str = "") -> str:
        return await node.submit(status(H23, original, code, text=text), key=key)

    assert await say(StatusCode.ARRIVED, "1", "Đã đến nơi") == own.message.message_id
    accepted = await say(StatusCode.ACCEPTED, "2", "Đã vào sổ")
    assert await say(StatusCode.ACCEPTED, "3", " Đã vào sổ") == accepted
    assert await say(StatusCode.ACCEPTED, "4", "Chuyển phòng 2") != accepted
    assert await say(StatusCode.ARRIVED, "5") == own.message.message_id
    finished = await say(StatusCode.FINISHED, "6")
    assert await say(StatusCode.FINISHED, "7") == finished
    assert [code for code, _ in await statuses_sent(node)] == ["01", "03", "03", "06"]
    assert (await rejection(say(StatusCode.FINISHED, "8", "Xong rồi"))).code == "status-transition"


async def test_a_status_that_was_fetched_back_is_no_second_one(node: Node, hub: HubSimulator, world: World) -> None:
    """After a restore the record has what the hub had; software that hands it in again under its key gets its id."""
    original = document(G22, H23)
    await arrived(node, hub, world.sealed(envelope(original)).data)
    accepted = await node.submit(status(H23, original), key="accept")
    await node.database.write(partial(_forget_key, message_id=accepted))
    assert await node.submit(status(H23, original), key="accept") == accepted
    assert await node.submit(status(H23, original), key="accept") == accepted


def _forget_key(connection: Connection, message_id: str) -> None:
    """Leave a message of ours as `node.store.recovered.add` writes it."""
    of_message = outbox.c.message_id == message_id
    connection.execute(update(outbox).where(of_message).values(adapter=RECOVERED, key=message_id))


@pytest.mark.parametrize("code", [StatusCode.REFUSED, StatusCode.REQUEST_REFUSED])
async def test_a_refusal_needs_a_reason(node: Node, hub: HubSimulator, world: World, code: StatusCode) -> None:
    """02 and 16 without a reason are not sent, from the command line or by software."""
    original = document(G22, H23)
    first = world.sealed(envelope(original))
    second = world.sealed(envelope(recall(original), about=[first.message_id]))
    await arrived(node, hub, first.data, second.data)
    about = first if code is StatusCode.REFUSED else second
    for work in (
        node.responder.respond(about.message_id, code, description="  "),
        node.submit(status(H23, original, code, text=""), about=[about.message_id]),
    ):
        assert (await rejection(work)).code == "reason-missing"
    await node.responder.respond(about.message_id, code, description="Sai thẩm quyền")


async def test_an_answer_to_what_asked_nothing_is_refused(node: Node, hub: HubSimulator, world: World) -> None:
    """15 and 16 answer a recall or an update; about a plain document they are refused, and the mend says why."""
    sealed = world.sealed(envelope(document(G22, H23)))
    await arrived(node, hub, sealed.data)
    error = await rejection(node.responder.respond(sealed.message_id, StatusCode.REQUEST_AGREED))
    assert error.code == "status-transition"
    assert "answers a recall or an update" in error.message


async def test_a_document_given_back_is_not_worked_on(node: Node, hub: HubSimulator, world: World) -> None:
    """After agreeing to a recall nothing more is said about the document; the answer may name the document itself."""
    original = document(G22, H23)
    first = world.sealed(envelope(original))
    second = world.sealed(envelope(recall(original), about=[first.message_id]))
    await arrived(node, hub, first.data, second.data)
    await node.responder.respond(first.message_id, StatusCode.REQUEST_AGREED)
    assert (await statuses_sent(node))[-1] == ("15", second.message_id)
    error = await rejection(node.responder.respond(first.message_id, StatusCode.ACCEPTED))
    assert "has agreed to the recall" in error.message
    error = await rejection(node.responder.respond(second.message_id, StatusCode.REQUEST_REFUSED, description="Không"))
    assert error.code == "status-transition"


async def test_software_may_say_itself_that_a_document_arrived(
    tmp_path: Path, world: World, hub: HubSimulator, column: DatabaseColumn
) -> None:
    """Without `arrival_status` the node sends no 01; the software's own goes to the sender, and 03 may follow it."""
    receiver = SETTINGS.receiver.model_copy(update={"arrival_status": False})
    settings = SETTINGS.model_copy(update={"receiver": receiver})
    original = document(G22, H23)
    async with open_node(tmp_path / "node", world.identity(), hub.url, column, settings=settings) as node:
        await node.directory.sync(node.hub)
        await arrived(node, hub, world.sealed(envelope(original)).data)
        assert await statuses_sent(node) == []
        await node.submit(status(H23, original, StatusCode.ARRIVED), key="arrived")
        await node.submit(status(H23, original, StatusCode.ACCEPTED), key="accepted")
        assert [code for code, _ in await statuses_sent(node)] == ["01", "03"]


LIFE = (StatusCode.ARRIVED, StatusCode.ACCEPTED, StatusCode.PROCESSING, StatusCode.FINISHED)


@pytest.mark.parametrize("order", list(itertools.permutations(LIFE))[::5], ids="-".join)
async def test_standing_never_goes_backwards(
    node: Node, hub: HubSimulator, world: World, order: Sequence[StatusCode]
) -> None:
    """In whatever order another's statuses come, all are handed over, and the document stands as the furthest says."""
    original = document()
    ours = await node.submit(original)
    for place, code in enumerate(order):
        # Times that grow with the arrival: the business decides, not the clock of whoever wrote it.
        said = status(G22, original, code, timestamp=f"2026/11/21 16:05:{10 + place}")
        sealed = world.sealed(envelope(said, about=[ours], submission_id=code))
        hub.deliver(sealed.data, [H23])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    (recipient,) = (await outbox_row(node, ours)).recipients
    assert (recipient.status, recipient.standing) == (StatusCode.FINISHED, Standing.FINISHED)
    assert len(node.adapter.deliveries) == 4


async def test_work_may_go_to_and_fro(node: Node, hub: HubSimulator, world: World) -> None:
    """Assigned and in processing are equally far: of the two the newer stands."""
    original = document()
    ours = await node.submit(original)
    for code, second in ((StatusCode.ASSIGNED, 10), (StatusCode.PROCESSING, 20), (StatusCode.ASSIGNED, 30)):
        said = status(G22, original, code, timestamp=f"2026/11/21 16:05:{second}")
        sealed = world.sealed(envelope(said, about=[ours], submission_id=str(second)))
        hub.deliver(sealed.data, [H23])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    (recipient,) = (await outbox_row(node, ours)).recipients
    assert recipient.standing is Standing.ASSIGNED


async def test_an_answer_that_the_hub_refused_can_be_given_again(node: Node, hub: HubSimulator, world: World) -> None:
    """In the same words it is another message, told as the second try; what is not refused is still one message."""
    sealed = world.sealed(envelope(document(G22, H23)))
    await arrived(node, hub, sealed.data)
    hub.faults.refuse = lambda _name: Rejected("about-not-allowed", "It is not allowed.")
    first = await node.responder.respond(sealed.message_id, StatusCode.ACCEPTED)
    async with node.running("sender"):
        await becomes(node, first.message_id, OutboxState.REFUSED)
    second = await node.responder.respond(sealed.message_id, StatusCode.ACCEPTED)
    assert (second.message_id == first.message_id, second.repeated, second.tries) == (False, False, 2)
    assert await node.responder.respond(sealed.message_id, StatusCode.ACCEPTED) == replace(second, repeated=True)
