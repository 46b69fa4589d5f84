"""The log of events: what software follows to learn what happened to a node's messages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from adapters.sdk import Accepted, Delivery, EventName, Never, NodeEvent, Outcome, Refused
from node.store import events
from node.store.states import HandoverState, OutboxState
from node.usecases.deadlines import Deadlines
from schemas.message import StatusCode
from schemas.receipts import ReceiptEvent
from schemas.times import DateText
from tests.node.core.asking import becomes, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.test_receipts import receipt_of
from tests.node.core.world import G22, H23, H31, World, document, envelope, status
from transport.wire import OutcomeKind


def told(found: tuple[NodeEvent, ...]) -> list[tuple[str, str | None]]:
    return [(event.name, event.code.value if event.code else None) for event in found]


async def test_what_happens_to_a_document_that_came_is_told(node: Node, hub: HubSimulator, world: World) -> None:
    """Arrival and end of the hand-over, each once with its words; the numbers have no gaps."""
    outcomes = iter((Accepted(), Refused("Sai nơi nhận"), Never("Tệp hỏng")))

    async def answer(_delivery: Delivery) -> Outcome:
        return next(outcomes)

    node.adapter.answer = answer
    sealed = [world.sealed(envelope(document(G22, H23), submission_id=str(number))) for number in range(3)]
    ends = (HandoverState.HANDED_OVER, HandoverState.REFUSED, HandoverState.PARKED)
    async with node.running():
        for each, end in zip(sealed, ends, strict=True):
            hub.deliver(each.data, [H23])
            await handed(node, each.message_id, end)
    found = [event for event in await node.facade.events() if event.sender == G22]
    assert told(tuple(found)) == [
        (name, "H23")
        for name in (
            *("document.arrived", "handover.done"),
            *("document.arrived", "handover.refused"),
            *("document.arrived", "handover.parked"),
        )
    ]
    assert [event.text for event in found] == [None, None, None, "Sai nơi nhận", None, "Tệp hỏng"]
    everything = await node.facade.events(limit=1000)
    assert [event.number for event in everything] == list(range(1, len(everything) + 1))
    assert await node.facade.events(after=everything[2].number, limit=2) == everything[3:5]
    assert await node.facade.last_event() == everything[-1].number


async def test_what_becomes_of_a_document_of_ours_is_told(node: Node, hub: HubSimulator, world: World) -> None:
    """The hub's acceptance, how each delivery ended, and the statuses that come back; our own statuses are no news."""
    original = document(H23, G22, H31)
    async with node.running():
        sent = await node.submit(original)
        await becomes(node, sent, OutboxState.ACCEPTED)
        answer = world.sealed(envelope(status(G22, original, StatusCode.FINISHED, text="Xong"), about=[sent]))
        hub.deliver(answer.data, [H23])
        await handed(node, answer.message_id, HandoverState.HANDED_OVER)
        for event, recipient, reason in (
            (ReceiptEvent.CONTENT_HANDOVER, G22, None),
            (ReceiptEvent.CONTENT_CONSIGNMENT, G22, None),
            (ReceiptEvent.CONTENT_HANDOVER_FAILURE, H31, "software-refused"),
        ):
            key = world.keys[recipient.value.lower()]
            hub.deliver_receipt(receipt_of(world, event, sent, recipient=recipient, reason=reason, key=key))
        await eventually(lambda: len(hub.outcomes(OutcomeKind.RECEIVED)) == 3)
    found = await node.facade.events()
    assert told(found[:3]) == [("delivery.accepted", None), ("status.arrived", "H23"), ("handover.done", "H23")]
    # A consignment that is told late is no news: the software has the document.
    assert sorted(told(found[3:])) == [("delivery.handed-over", "G22"), ("delivery.handover-failed", "H31")]
    assert {event.text for event in found[3:]} == {None, "Vì sao"}
    arrived = found[1]
    assert (arrived.status, arrived.about, arrived.text) == (StatusCode.FINISHED, (sent,), "Xong")


async def test_who_waits_for_events_is_woken(node: Node, hub: HubSimulator, world: World) -> None:
    """A follower that waits gets what comes, long before its time is up; one for whom nothing comes gets nothing."""
    assert await node.facade.events(wait_seconds=0.01) == ()
    following = asyncio.create_task(node.facade.events(wait_seconds=300))
    await asyncio.sleep(0)
    hub.deliver(world.sealed(envelope(document(G22, H23))).data, [H23])
    async with node.running():
        found = await asyncio.wait_for(following, 60)
    assert found[0].name is EventName.DOCUMENT_ARRIVED


async def test_a_deadline_is_told_once(node: Node, hub: HubSimulator, world: World) -> None:
    """Near, then past: an event each, and none again."""
    sealed = world.sealed(envelope(replace(document(G22, H23), due_date=DateText("2026/12/24"))))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    before = await node.facade.last_event()
    deadlines = Deadlines(node.database, near=timedelta(days=36_500), clock=node.clock)
    await deadlines.tell()
    node.clock.ahead = timedelta(days=3650)
    await deadlines.tell()
    await deadlines.tell()
    assert told(await node.facade.events(after=before)) == [("deadline.near", "H23"), ("deadline.past", "H23")]


async def test_the_log_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept, with the numbers that they had; a follower sees the gap."""
    monkeypatch.setattr(events, "KEPT", 5)
    monkeypatch.setattr(events, "_SLACK", 10)
    sent = await node.submit(document(H23, G22))
    tell = partial(events.tell, name=EventName.DELIVERY_ACCEPTED, message_id=sent, at=node.clock())
    for _ in range(20):
        await node.database.write(tell)
    assert [event.number for event in await node.facade.events()] == [16, 17, 18, 19, 20]
