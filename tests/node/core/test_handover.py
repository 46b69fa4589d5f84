"""Handing over to the agency's software: outcomes, retries, order, and what the sender is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest

from adapters.sdk import Accepted, Delivery, Later, Never, Outcome, Refused
from node.settings_exchange import BackoffSettings
from node.store import handovers
from node.store.states import HandoverState
from node.usecases.work import Work
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable
from schemas.limits import MIB
from schemas.message import Priority, StatusCode
from schemas.receipts import ReceiptEvent
from tests.node.core.asking import arrives, events, handed, statuses_sent, verified
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually
from tests.node.core.world import G22, H23, World, document, envelope, recall, status
from tests.services.columns import ON_SQLITE
from transport.wire import OutcomeKind


def answering(*outcomes: Outcome | Exception) -> Callable[[Delivery], Awaitable[Outcome]]:
    """An adapter that gives or raises `outcomes` one after the other, and then accepts."""
    left: Iterator[Outcome | Exception] = iter(outcomes)

    async def answer(_delivery: Delivery) -> Outcome:
        outcome = next(left, Accepted())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return answer


@ON_SQLITE
async def test_the_software_has_a_document_before_anyone_is_told_of_it(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """On an idle node what has just come in is handed over first; then the hub is told of it."""
    sealed = world.sealed(envelope(document(G22, H23)))
    async with node.running():
        with node.wakeups.listen(Work.REPORTING) as reporting:
            hub.deliver(sealed.data, [H23])
            await reporting.wait()
            assert [key.message_id for key in node.adapter.keys] == [sealed.message_id]


async def test_what_the_software_refuses_goes_back_as_status_02(node: Node, hub: HubSimulator, world: World) -> None:
    """A refusal by the software becomes a signed failure and one status 02 with its reason; it is not tried again."""
    node.adapter.answer = answering(Refused("Không đúng\x00 thẩm quyền\r\n"))
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        row = await handed(node, sealed.message_id, HandoverState.REFUSED)
        await eventually(lambda: len(hub.accepted) == 2)
        await eventually(lambda: len(hub.receipts_reported()) == 2)
    assert row.trouble is not None
    assert row.trouble.text == "Không đúng thẩm quyền"
    receipt = verified(hub.receipts_reported()[1], world)
    assert receipt.event is ReceiptEvent.CONTENT_HANDOVER_FAILURE
    assert await statuses_sent(node) == [("01", sealed.message_id), ("02", sealed.message_id)]
    said = [row.message.description for row in await node.queries.outbox() if row.message.status is StatusCode.REFUSED]
    assert said == ["Không đúng thẩm quyền"]
    assert hub.order == [row.message.message_id for row in reversed(await node.queries.outbox())]
    assert len(node.adapter.deliveries) == 1


@pytest.mark.parametrize(
    "failure", [Later("Đang bảo trì"), RuntimeError("broken"), Unavailable("database-locked", "Locked.")], ids=repr
)
async def test_what_the_software_puts_off_is_handed_over_later(
    node: Node, hub: HubSimulator, world: World, failure: Outcome | Exception
) -> None:
    """Later, and whatever an adapter raises, is tried again under the same key until it is taken."""
    node.adapter.answer = answering(failure, failure)
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        row = await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert row.attempts == 3
    assert len(set(node.adapter.keys)) == 1


async def test_an_adapter_that_hangs_is_given_up_and_tried_again(node: Node, hub: HubSimulator, world: World) -> None:
    """A hand-over that outlasts the time-out is cancelled and tried again."""

    async def hang_once(_delivery: Delivery) -> Outcome:
        if len(node.adapter.deliveries) == 1:
            await asyncio.Event().wait()
        return Accepted()

    node.adapter.answer = hang_once
    node.settings = SETTINGS.model_copy(update={"handover": SETTINGS.handover.model_copy(update={"timeout": 0.1})})
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        row = await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert row.attempts == 2


async def test_an_adapter_has_more_time_for_large_attachments(node: Node, hub: HubSimulator, world: World) -> None:
    """Software that needs longer than the time-out for a large attachment is not called once more for it."""
    content = bytes(4 * MIB)

    async def slow(_delivery: Delivery) -> Outcome:
        await asyncio.sleep(0.5)
        return Accepted()

    node.adapter.answer = slow
    node.settings = SETTINGS.model_copy(update={"handover": SETTINGS.handover.model_copy(update={"timeout": 0.1})})
    sealed = world.sealed(envelope(document(G22, H23), content))
    hub.deliver(sealed.data, [H23], [content], inline=False)
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert len(node.adapter.deliveries) == 1


async def test_what_an_adapter_can_never_take_is_parked_until_it_is_driven_again(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A parked message stays, receipted as a failure with its reason, and is handed over when a person drives it."""
    node.adapter.answer = answering(Never("Tên tệp quá dài"))
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        row = await handed(node, sealed.message_id, HandoverState.PARKED)
        assert row.trouble is not None
        assert row.trouble.text == "Tên tệp quá dài"
        assert [row.message.message_id for row in await node.queries.inbox(waiting=True)] == [sealed.message_id]
        assert await node.parked.drive_again(sealed.message_id[:12]) == 1
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
        await eventually(lambda: len(hub.receipts_reported()) == 3)
    assert [event for event, _, _ in events(hub.receipts_reported(), world)] == [
        ReceiptEvent.CONTENT_CONSIGNMENT,
        ReceiptEvent.CONTENT_HANDOVER_FAILURE,
        ReceiptEvent.CONTENT_HANDOVER,
    ]
    stored = (await node.queries.story(sealed.message_id)).receipts
    assert [receipt.trouble.code for receipt in stored if receipt.trouble] == ["adapter-cannot"]


async def test_the_most_urgent_is_handed_over_first(node: Node, hub: HubSimulator, world: World) -> None:
    """Of what waits in the inbox, express is handed over before the rest, and equals in the order of arrival."""
    names = []
    for number, priority in enumerate((Priority.NORMAL, Priority.URGENT, Priority.NORMAL, Priority.EXPRESS)):
        sealed = world.sealed(envelope(document(G22, H23, priority=priority), submission_id=str(number)))
        hub.deliver(sealed.data, [H23])
        names.append(sealed.message_id)
    async with node.running("receiver"):
        for name in names:
            await arrives(node, name)
    node.settings = SETTINGS.model_copy(update={"handover": SETTINGS.handover.model_copy(update={"parallel": 1})})
    async with node.running("handover"):
        await eventually(lambda: len(node.adapter.deliveries) == 4)
    assert [key.message_id for key in node.adapter.keys] == [names[3], names[1], names[0], names[2]]


async def test_a_recall_never_overtakes_its_document(node: Node, hub: HubSimulator, world: World) -> None:
    """A recall that comes first is held until its document has come and is handed over, though it is more urgent."""
    original = document(G22, H23)
    first = world.sealed(envelope(original))
    second = world.sealed(envelope(recall(document(G22, H23, priority=Priority.EXPRESS)), about=[first.message_id]))
    hub.deliver(second.data, [H23])
    async with node.running():
        await handed(node, second.message_id, HandoverState.HELD)
        hub.deliver(first.data, [H23])
        await handed(node, second.message_id, HandoverState.HANDED_OVER)
    assert [key.message_id for key in node.adapter.keys] == [first.message_id, second.message_id]


async def test_words_about_one_document_keep_their_order(node: Node, hub: HubSimulator, world: World) -> None:
    """When the first of two statuses is put off, the second waits for it."""
    original = document(H23, G22)
    ours = await node.submit(original)
    node.adapter.answer = answering(Later("Bận"), Later("Bận"))
    names: list[Sha256Hex] = []
    for code in (StatusCode.ACCEPTED, StatusCode.FINISHED):
        sealed = world.sealed(envelope(status(G22, original, code), about=[ours], submission_id=code))
        hub.deliver(sealed.data, [H23])
        names.append(sealed.message_id)
    async with node.running():
        await handed(node, names[1], HandoverState.HANDED_OVER)
    assert [key.message_id for key in node.adapter.keys] == [names[0], names[0], names[0], names[1]]


async def test_a_hold_ends_with_its_time(node: Node, hub: HubSimulator, world: World) -> None:
    """A recall whose document never comes is handed over when the hold time is over."""
    sealed = world.sealed(envelope(recall(document(G22, H23)), about=["ab" * 32]))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        row = await handed(node, sealed.message_id, HandoverState.HELD)
        assert row.next_attempt_at is not None
        node.clock.ahead = timedelta(seconds=SETTINGS.handover.hold - 25)
        hub.deliver(world.sealed(envelope(document(G22, H23), submission_id="wake")).data, [H23])
        await eventually(lambda: len(node.adapter.deliveries) == 1)
        assert sealed.message_id not in {key.message_id for key in node.adapter.keys}
        node.clock.ahead = timedelta(seconds=SETTINGS.handover.hold + 5)
        hub.deliver(world.sealed(envelope(document(G22, H23), submission_id="again")).data, [H23])
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)


async def test_a_clock_set_back_ends_no_hold(node: Node, hub: HubSimulator, world: World) -> None:
    """When the clock is set back, or `hold` is shortened, a hold lasts its time from now on and does not end."""
    sealed = world.sealed(envelope(recall(document(G22, H23)), about=["ab" * 32]))
    hub.deliver(sealed.data, [H23])
    async with node.running("receiver"):
        await handed(node, sealed.message_id, HandoverState.HELD)
    node.clock.ahead = timedelta(days=-30)
    for hold in (SETTINGS.handover.hold, 60.0):
        shorter = SETTINGS.handover.model_copy(update={"hold": hold})
        node.settings = node.settings.model_copy(update={"handover": shorter})

        async def is_as_long_as_that() -> bool:
            row = await handed(node, sealed.message_id, HandoverState.HELD)
            return row.next_attempt_at is not None and row.next_attempt_at <= node.clock() + timedelta(seconds=hold)  # noqa: B023

        async with node.running("handover"):
            await eventually(is_as_long_as_that)
    assert node.adapter.deliveries == []


async def test_a_hand_over_that_cannot_be_recorded_is_not_repeated(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the outcome cannot be written, it is kept; the software is not given the message again."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running("receiver"):
        await arrives(node, sealed.message_id)
    failures = 3
    write = node.database.write

    async def failing(work: object, **how: bool) -> object:
        nonlocal failures
        if failures and node.adapter.deliveries:
            failures -= 1
            raise Unavailable("storage-full", "No space.")
        return await write(work, **how)  # type: ignore[arg-type]  # the method's own argument

    monkeypatch.setattr(node.database, "write", failing)
    async with node.running("handover"):
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert failures == 0
    assert len(node.adapter.deliveries) == 1


async def test_an_agency_without_an_adapter_waits_and_says_so(node: Node, hub: HubSimulator, world: World) -> None:
    """A message for an agency that no adapter serves is kept and says what is missing."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    node.has_adapter = False
    async with node.running():

        async def said() -> bool:
            (row,) = (await arrives(node, sealed.message_id)).handovers
            return row.trouble is not None and "No adapter is set up for H23" in row.trouble.text

        await eventually(said)
        await eventually(lambda: bool(hub.outcomes(OutcomeKind.CONSIGNED)))


async def test_finishing_twice_changes_nothing(node: Node, hub: HubSimulator, world: World) -> None:
    """A hand-over that has ended is ended once; a second end is told apart."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    again = partial(
        handovers.finish,
        message_id=sealed.message_id,
        code=H23,
        state=HandoverState.REFUSED,
        trouble=None,
        at=node.clock(),
    )
    assert await node.database.write(again) is False
    await handed(node, sealed.message_id, HandoverState.HANDED_OVER)


async def test_a_clock_set_back_by_hours_holds_no_hand_over_up(node: Node, hub: HubSimulator, world: World) -> None:
    """A document put off by a clock that ran hours ahead is handed over when the clock is right again."""
    resting = SETTINGS.handover.model_copy(update={"backoff": BackoffSettings(first=20.0, longest=20.0)})
    node.settings = SETTINGS.model_copy(update={"handover": resting})
    node.clock.ahead = timedelta(hours=5)
    node.adapter.answer = answering(Later("Bận"))
    first, second = (
        world.sealed(envelope(document(G22, H23, subject=number), submission_id=number)) for number in ("1", "2")
    )
    async with node.running("receiver", "handover"):
        hub.deliver(first.data, [H23])
        await handed(node, first.message_id, HandoverState.RESTING)
        node.clock.ahead = timedelta(0)
        hub.deliver(second.data, [H23])
        await handed(node, first.message_id, HandoverState.HANDED_OVER)
