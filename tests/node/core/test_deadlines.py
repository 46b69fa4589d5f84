"""Deadlines: until when a document is to be finished, who has not, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from node.store.states import DeadlineStage, HandoverState, OutboxState
from node.usecases.deadlines import Deadlines
from schemas.errors import Rejected
from schemas.message import Business, BusinessDocumentInfo, BusinessType, Document, StatusCode
from schemas.times import DateText
from tests.node.core.asking import arrives, becomes, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, H23_12, World, document, envelope, recall

#: The last second of 1 December in Vietnam.
DUE = datetime(2026, 12, 1, 16, 59, 59, tzinfo=UTC)
NEAR = timedelta(days=2)


def due(*recipients: object, day: str = "2026/12/01") -> Document:
    return replace(document(G22, *(recipients or (H23,))), due_date=DateText(day))  # type: ignore[arg-type]  # codes


async def arrived(node: Node, hub: HubSimulator, world: World, *messages: Document, about: Sequence[str] = ()) -> str:
    """Have `messages` in the inbox; gives the id of the last."""
    before = (await node.queries.status()).inbox
    for number, message in enumerate(messages):
        sealed = world.sealed(envelope(message, about=about, submission_id=f"{before}-{number}"))
        hub.deliver(sealed.data, [organ.organ_id for organ in message.recipients])

    async def here() -> bool:
        return (await node.queries.status()).inbox == before + len(messages)

    async with node.running("receiver"):
        await eventually(here)
    return sealed.message_id


def at(node: Node, instant: datetime) -> Deadlines:
    """The watcher as a daemon that is started at `instant` has it."""
    node.clock.ahead = instant - datetime.now(UTC)
    return Deadlines(node.database, near=NEAR, clock=node.clock)


async def told(node: Node, instant: datetime) -> list[tuple[str, str]]:
    """What is logged at `instant`: event, and the agency it is for."""
    with capture_logs() as logs:
        await at(node, instant).tell()
    return [(entry["event"], entry["recipient"]) for entry in logs if entry["event"].startswith("document.")]


async def test_what_is_due_is_listed_by_deadline(node: Node, hub: HubSimulator, world: World) -> None:
    """The earliest deadline first, for each agency by itself; what has none, or names no day, is not listed."""
    await arrived(node, hub, world, due(day="2026/12/05"), document(G22, H23), due(day="2026/02/30"))
    both = await arrived(node, hub, world, due(H23, H23_12, day="01/12/2026"))
    rows = await node.queries.due()
    assert [(row.deadline.code, row.deadline.due_at) for row in rows] == [
        (H23, DUE),
        (H23_12, DUE),
        (H23, DUE + timedelta(days=4)),
    ]
    assert {row.message.message_id for row in rows[:2]} == {both}
    assert rows[0].status is StatusCode.ARRIVED


@pytest.mark.parametrize("way", [["03", "06"], ["02"]], ids=["finished", "refused"])
async def test_what_is_done_is_due_no_more(node: Node, hub: HubSimulator, world: World, way: list[str]) -> None:
    """Status 06 or 02 of an agency settles its own deadline alone, and nothing is told of it."""
    name = await arrived(node, hub, world, due(H23, H23_12))
    for code in way:
        await node.responder.respond(name, StatusCode(code), description="Xong", from_code=H23)
    assert [row.deadline.code for row in await node.queries.due()] == [H23_12]
    assert await told(node, DUE + timedelta(days=1)) == [("document.overdue", "H23.12")]


@pytest.mark.parametrize("code", [StatusCode.REQUEST_AGREED, StatusCode.REQUEST_REFUSED])
async def test_only_an_agreed_recall_settles_the_deadline(
    node: Node, hub: HubSimulator, world: World, code: StatusCode
) -> None:
    """A document that was given back is no work any more; one whose recall was refused is."""
    original = due()
    name = await arrived(node, hub, world, original)
    asked = await arrived(node, hub, world, recall(original), about=[name])
    await node.responder.respond(asked, code, description="Đã nhận")
    assert [row.message.message_id for row in await node.queries.due()] == (
        [] if code is StatusCode.REQUEST_AGREED else [name]
    )


async def test_an_agreed_update_moves_the_deadline(node: Node, hub: HubSimulator, world: World) -> None:
    """The update's own date counts once it is agreed to, and is told of anew."""
    name = await arrived(node, hub, world, due())
    assert await told(node, DUE + timedelta(hours=1)) == [("document.overdue", "H23")]
    information = BusinessDocumentInfo(document_info=True, document_receiver=False)
    update = replace(
        due(day="2026/12/31"),
        business=Business(type=BusinessType.UPDATE, reason="Gia hạn", paper=False, document_info=information),
    )
    asked = await arrived(node, hub, world, update, about=[name])
    assert [row.deadline.due_at for row in await node.queries.due()] == [DUE]
    await node.responder.respond(asked, StatusCode.REQUEST_AGREED)
    (row,) = await node.queries.due()
    assert (row.deadline.due_at, row.deadline.stage) == (DUE + timedelta(days=30), DeadlineStage.AHEAD)
    assert await told(node, DUE + timedelta(days=29)) == [("document.due-soon", "H23")]


async def test_each_deadline_is_told_of_once(node: Node, hub: HubSimulator, world: World) -> None:
    """One event when it comes near and one when it is past, however often the node is started; both in the story."""
    name = await arrived(node, hub, world, due())
    assert await told(node, DUE - NEAR - timedelta(hours=1)) == []
    assert await told(node, DUE - NEAR + timedelta(hours=1)) == [("document.due-soon", "H23")]
    assert await told(node, DUE - timedelta(hours=1)) == []
    assert await told(node, DUE + timedelta(hours=1)) == [("document.overdue", "H23")]
    assert await told(node, DUE + timedelta(days=9)) == []
    events = [step.event for step in (await node.queries.story(name)).events]
    assert [event for event in events if event.startswith("document.")] == ["document.due-soon", "document.overdue"]
    assert (await node.queries.status()).deadlines[DeadlineStage.PAST] == 1


async def test_a_clock_that_was_ahead_uses_nothing_up(node: Node, hub: HubSimulator, world: World) -> None:
    """What a wrong clock told too early is told in its time; a clock that is set by a second tells nothing twice."""
    await arrived(node, hub, world, due())
    assert await told(node, DUE + timedelta(days=30)) == [("document.overdue", "H23")]
    assert await told(node, DUE - timedelta(days=20)) == []
    assert await told(node, DUE - timedelta(days=1)) == [("document.due-soon", "H23")]
    assert await told(node, DUE + timedelta(seconds=1)) == [("document.overdue", "H23")]
    assert await told(node, DUE - timedelta(seconds=1)) == []
    assert await told(node, DUE - timedelta(hours=1)) == []
    assert await told(node, DUE + timedelta(hours=1)) == [("document.overdue", "H23")]


async def test_what_is_finished_gets_no_deadline_by_an_update(node: Node, hub: HubSimulator, world: World) -> None:
    """Agreeing to an update with a date, of a document that had none and is finished, leaves nothing due."""
    name = await arrived(node, hub, world, document(G22, H23))
    await node.responder.respond(name, StatusCode.FINISHED)
    information = BusinessDocumentInfo(document_info=True, document_receiver=False)
    business = Business(type=BusinessType.UPDATE, reason="Gia hạn", paper=False, document_info=information)
    asked = await arrived(node, hub, world, replace(due(), business=business), about=[name])
    await node.responder.respond(asked, StatusCode.REQUEST_AGREED)
    assert await node.queries.due() == ()


async def test_an_update_of_what_never_came_is_agreed_to(node: Node, hub: HubSimulator, world: World) -> None:
    """Nothing is due for a document that has not come; if it comes after all, it is due as the update says."""
    late = world.sealed(envelope(due(), submission_id="late"))
    information = BusinessDocumentInfo(document_info=True, document_receiver=False)
    business = Business(type=BusinessType.UPDATE, reason="Gia hạn", paper=False, document_info=information)
    asked = await arrived(node, hub, world, replace(due(day="2026/12/31"), business=business), about=[late.message_id])
    await node.responder.respond(asked, StatusCode.REQUEST_AGREED)
    assert await node.queries.due() == ()
    hub.deliver(late.data, [H23])
    async with node.running("receiver"):
        await arrives(node, late.message_id)
    (row,) = await node.queries.due()
    assert (row.message.message_id, row.deadline.due_at) == (late.message_id, DUE + timedelta(days=30))


@pytest.mark.parametrize("code", [StatusCode.FINISHED, StatusCode.REQUEST_AGREED], ids=["finished", "given back"])
async def test_what_the_hub_refused_to_carry_settles_nothing(
    node: Node, hub: HubSimulator, world: World, code: StatusCode
) -> None:
    """A document whose last word never left is due again, and what was told of its deadline is not told twice."""
    original = due()
    name = await arrived(node, hub, world, original)
    spoken_of = name
    if code is StatusCode.REQUEST_AGREED:
        spoken_of = await arrived(node, hub, world, recall(original), about=[name])
    assert await told(node, DUE - timedelta(hours=1)) == [("document.due-soon", "H23")]
    answer = await node.responder.respond(spoken_of, code, description="Xong")
    assert await node.queries.due() == ()
    hub.faults.refuse = lambda message_id: (
        Rejected("sender-suspended", "H23 is suspended.") if message_id == answer.message_id else None
    )
    async with node.running("sender", "receiver"):
        await becomes(node, answer.message_id, OutboxState.REFUSED)
    (row,) = await node.queries.due()
    assert (row.message.message_id, row.deadline.stage) == (name, DeadlineStage.NEAR)
    assert await told(node, DUE + timedelta(hours=1)) == [("document.overdue", "H23")]


async def test_a_replaced_document_is_due_no_more(node: Node, hub: HubSimulator, world: World) -> None:
    """Once the software has the replacement, its deadline counts alone; until then the old one does, too."""
    old = await arrived(node, hub, world, due())
    business = Business(type=BusinessType.REPLACE, reason="Thay thế", paper=False)
    new = await arrived(node, hub, world, replace(due(day="2026/12/20"), business=business), about=[old])
    assert {row.message.message_id for row in await node.queries.due()} == {old, new}
    async with node.running("handover"):
        await handed(node, new, HandoverState.HANDED_OVER)
    assert [row.message.message_id for row in await node.queries.due()] == [new]


async def test_a_document_that_comes_too_late_is_only_overdue(node: Node, hub: HubSimulator, world: World) -> None:
    """Nobody is told that something comes near which is past already."""
    await arrived(node, hub, world, due(day="2020/01/01"))
    assert await told(node, DUE) == [("document.overdue", "H23")]


async def test_a_daemon_tells_by_itself(node: Node, hub: HubSimulator, world: World) -> None:
    """The watcher is one of the node's services."""
    await arrived(node, hub, world, due(day="2020/01/01"))

    async def noted() -> bool:
        return (await node.queries.due())[0].deadline.past_at is not None

    async with node.running("deadlines"):
        await eventually(noted)
