"""Software that fetches its messages itself: what is offered, locked and settled, and what its sender is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from adapters.sdk import Accepted, Awaiting, Delivery, DeliveryKey, MessageKind, Never, Outcome, Refused, Waiting
from node.store.states import HandoverState
from node.usecases.adapter_calls import Connected
from node.usecases.handover import Addressed
from node.usecases.rerouting import take_back_strays
from schemas.errors import Rejected
from schemas.message import BusinessType, DocumentCode, Priority
from schemas.receipts import ReceiptEvent
from tests.node.core.asking import events, handed, statuses_sent
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, RecordingAdapter, eventually
from tests.node.core.world import G22, H23, H23_12, H31, World, document, envelope, recall


async def offer(_delivery: Delivery) -> Outcome:
    return Awaiting()


@pytest.fixture
def pulled(node: Node) -> Node:
    """A node whose software fetches."""
    node.adapter.answer = offer
    return node


async def waits(node: Node, count: int) -> list[Waiting]:
    async def all_offered() -> bool:
        return await node.facade.count_waiting() == count

    await eventually(all_offered)
    return list(await node.facade.waiting())


async def refusal(work: object) -> str:
    with pytest.raises(Rejected) as caught:
        await work  # type: ignore[misc]  # any awaitable
    return caught.value.code


async def test_what_awaits_is_kept_until_it_is_settled(pulled: Node, hub: HubSimulator, world: World) -> None:
    """An offered message is neither receipted nor offered again, survives a restart, and is handed over by settling."""
    content = b"%PDF-1.7"
    sealed = world.sealed(envelope(document(G22, H23), content))
    hub.deliver(sealed.data, [H23], [content])
    async with pulled.running():
        (waiting,) = await waits(pulled, 1)
        await eventually(lambda: len(hub.receipts_reported()) == 1)
    assert waiting.key == DeliveryKey(sealed.message_id, H23)
    assert (waiting.kind, waiting.code) == (MessageKind.DOCUMENT, DocumentCode(number="61", notation="UBND-VP"))
    async with pulled.running():
        row = await handed(pulled, sealed.message_id, HandoverState.AWAITING)
        assert (row.attempts, row.trouble) == (1, None)
        delivery = await pulled.facade.delivery(waiting.key)
        assert delivery is not None
        assert (delivery.sealed, delivery.attachments[0].size) == (sealed.data, len(content))
        for _ in range(2):
            await pulled.facade.settle(waiting.key, Accepted())
        await eventually(lambda: len(hub.receipts_reported()) == 2)
    assert await waits(pulled, 0) == []
    assert len(pulled.adapter.deliveries) == 1
    assert await pulled.facade.delivery(waiting.key) == delivery
    assert [event for event, _, _ in events(hub.receipts_reported(), world)] == [
        ReceiptEvent.CONTENT_CONSIGNMENT,
        ReceiptEvent.CONTENT_HANDOVER,
    ]


async def test_software_that_refuses_tells_the_sender(pulled: Node, hub: HubSimulator, world: World) -> None:
    """A refusal becomes status 02 and a failure; what is settled so is not settled otherwise."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with pulled.running():
        (waiting,) = await waits(pulled, 1)
        await pulled.facade.settle(waiting.key, Refused("Sai thẩm quyền"))
        await eventually(lambda: len(hub.accepted) == 2)
    assert await statuses_sent(pulled) == [("01", sealed.message_id), ("02", sealed.message_id)]
    assert await refusal(pulled.facade.settle(waiting.key, Accepted())) == "delivery-settled"


async def test_what_software_cannot_take_is_parked_and_driven_again(
    pulled: Node, hub: HubSimulator, world: World
) -> None:
    """A parked message is listed only if asked for; a retry offers it again, and software may take it even so."""
    sealed = [world.sealed(envelope(document(G22, H23), submission_id=str(number))) for number in range(2)]
    for each in sealed:
        hub.deliver(each.data, [H23])
    async with pulled.running():
        first, second = await waits(pulled, 2)
        for waiting in (first, second):
            await pulled.facade.settle(waiting.key, Never("Tệp hỏng"))
        assert await waits(pulled, 0) == []
        assert [one.parked for one in await pulled.facade.waiting(parked=True)] == ["Tệp hỏng", "Tệp hỏng"]
        assert await pulled.parked.drive_again(first.key.message_id) == 1
        (again,) = await waits(pulled, 1)
        assert (again.key, again.parked) == (first.key, None)
        for waiting in (first, second):
            await pulled.facade.settle(waiting.key, Accepted())
            await handed(pulled, waiting.key.message_id, HandoverState.HANDED_OVER)


async def test_what_an_adapter_can_never_take_the_one_at_its_desk_offers(
    pulled: Node, hub: HubSimulator, world: World
) -> None:
    """It is listed there beside what both offer, and there alone; without that one it is parked, for a person."""
    both = world.sealed(envelope(document(G22, H23, document_id="both")))
    alone = world.sealed(envelope(document(G22, H23, document_id="alone", priority=Priority.EXPRESS)))

    async def answer(delivery: Delivery) -> Outcome:
        return Never("Không viết được") if delivery.key.message_id == alone.message_id else Awaiting()

    async def never(_delivery: Delivery) -> Outcome:
        return Never("Cũng không")

    pulled.adapter.answer = answer
    pulled.beside = {"cannot": RecordingAdapter(answer=never), "rest": RecordingAdapter(answer=offer)}
    beside = pulled.facade_of("rest", desk="test")
    for each in (both, alone):
        hub.deliver(each.data, [H23])

    async def both_offered() -> bool:
        return await beside.count_waiting() == 2

    async with pulled.running():
        await eventually(both_offered)
        listed = await beside.waiting()
        assert [one.key.message_id for one in listed] == [alone.message_id, both.message_id]
        (behind,) = await beside.waiting(after=listed[0].cursor)
        assert [behind] == [*await pulled.facade.waiting()]
        assert [one.key for one in await beside.waiting(limit=1)] == [listed[0].key]
        assert await pulled.facade.delivery(listed[0].key) is None
        assert await refusal(pulled.facade.settle(listed[0].key, Accepted())) == "delivery-unknown"
    assert await take_back_strays(pulled.database, pulled.route, pulled.clock) == 0
    assert (await beside.lock([one.key for one in listed], seconds=0)).keys == tuple(one.key for one in listed)
    await beside.settle(behind.key, Accepted())
    del pulled.beside["rest"]
    assert await take_back_strays(pulled.database, pulled.route, pulled.clock) == 1
    async with pulled.running():
        row = await handed(pulled, alone.message_id, HandoverState.PARKED)
        assert row.trouble is not None
        assert row.trouble.text == "Không viết được"


async def test_a_retry_ends_the_offer_of_before(pulled: Node, hub: HubSimulator, world: World) -> None:
    """Once a person has driven it again, the settings of now say who gets a message: who offered it has it no more."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with pulled.running():
        (waiting,) = await waits(pulled, 1)
    await pulled.facade.settle(waiting.key, Never("Tệp hỏng"))
    assert await pulled.parked.drive_again(sealed.message_id) == 1
    assert await pulled.facade.delivery(waiting.key) is None
    assert await refusal(pulled.facade.settle(waiting.key, Accepted())) == "delivery-unknown"
    pulled.adapter.answer = None
    async with pulled.running():
        await handed(pulled, sealed.message_id, HandoverState.HANDED_OVER)
    assert await pulled.facade.delivery(waiting.key) is None


async def test_of_several_readers_one_has_a_message(pulled: Node, hub: HubSimulator, world: World) -> None:
    """What one has locked another neither locks nor settles, until the lock is given back or lapses by itself."""
    for number in range(3):
        hub.deliver(world.sealed(envelope(document(G22, H23), submission_id=str(number))).data, [H23])
    async with pulled.running():
        one, two, three = (waiting.key for waiting in await waits(pulled, 3))
    facade = pulled.facade
    mine = await facade.lock([one, two], seconds=60)
    theirs = await facade.lock([two, three], seconds=60)
    assert (mine.keys, theirs.keys) == ((one, two), (three,))
    assert [waiting.locked_until is not None for waiting in await facade.waiting()] == [True] * 3
    assert not await facade.waiting(unlocked=True)
    assert await refusal(facade.settle(one, Accepted())) == "delivery-locked"
    assert await refusal(facade.settle(one, Accepted(), lock=theirs.token)) == "delivery-locked"
    await facade.settle(one, Accepted(), lock=mine.token)
    await facade.unlock([two], lock=theirs.token)
    assert not await facade.waiting(unlocked=True)
    await facade.unlock([two], lock=mine.token)
    assert [waiting.key for waiting in await facade.waiting(unlocked=True)] == [two]
    assert (await facade.lock([three], seconds=600, renew=theirs.token)).keys == (three,)
    pulled.clock.ahead = timedelta(seconds=300)
    assert [waiting.key for waiting in await facade.waiting(unlocked=True)] == [two]
    pulled.clock.ahead = timedelta(seconds=900)
    await facade.settle(three, Accepted())
    assert [waiting.key for waiting in await facade.waiting()] == [two]


async def test_a_recall_is_offered_after_what_it_recalls(pulled: Node, hub: HubSimulator, world: World) -> None:
    """A recall waits for no settling, comes after its document in the list, and lifts it into its own lane."""
    other = world.sealed(envelope(document(G22, H23, document_id="other")))
    original = document(G22, H23)
    sealed = world.sealed(envelope(original))
    urgent = document(G22, H23, priority=Priority.EXPRESS)
    recalling = world.sealed(envelope(recall(urgent), about=[sealed.message_id]))
    for data in (recalling.data, other.data, sealed.data):
        hub.deliver(data, [H23])
    async with pulled.running():
        listed = await waits(pulled, 3)
        assert [waiting.key.message_id for waiting in listed] == [
            sealed.message_id,
            recalling.message_id,
            other.message_id,
        ]
        assert (listed[1].business, listed[1].about) == (BusinessType.RECALL, (sealed.message_id,))
        later = world.sealed(envelope(recall(urgent, document_id="later"), about=[other.message_id]))
        hub.deliver(later.data, [H23])
        names = [waiting.key.message_id for waiting in await waits(pulled, 4)]
    assert names.index(other.message_id) < names.index(later.message_id) == 3


async def test_a_clock_that_is_set_back_turns_no_order_round(pulled: Node, hub: HubSimulator, world: World) -> None:
    """A recall is listed behind what it recalls also where the clock was ahead when that was offered."""
    original = document(G22, H23)
    sealed = world.sealed(envelope(original))
    recalling = world.sealed(envelope(recall(original), about=[sealed.message_id]))
    pulled.clock.ahead = timedelta(hours=1)
    hub.deliver(sealed.data, [H23])
    async with pulled.running():
        await waits(pulled, 1)
        pulled.clock.ahead = timedelta()
        hub.deliver(recalling.data, [H23])
        listed = await waits(pulled, 2)
    assert [waiting.key.message_id for waiting in listed] == [sealed.message_id, recalling.message_id]


async def test_a_lock_of_a_clock_that_was_ahead_holds_nobody_up(pulled: Node, hub: HubSimulator, world: World) -> None:
    """A lock that would end later than any can has lapsed: whoever made it may be gone for good."""
    hub.deliver(world.sealed(envelope(document(G22, H23))).data, [H23])
    async with pulled.running():
        [waiting] = await waits(pulled, 1)
    pulled.clock.ahead = timedelta(days=800)
    await pulled.facade.lock([waiting.key], seconds=60)
    assert not await pulled.facade.waiting(unlocked=True)
    pulled.clock.ahead = timedelta()
    [listed] = await pulled.facade.waiting(unlocked=True)
    assert listed.locked_until is None
    await pulled.facade.settle(waiting.key, Accepted())


async def test_the_list_is_given_page_by_page(pulled: Node, hub: HubSimulator, world: World) -> None:
    """The most urgent first, each once, for some agencies or of one kind if so asked."""
    for number, priority in enumerate((Priority.NORMAL, Priority.EXPRESS, Priority.NORMAL)):
        sealed = world.sealed(envelope(document(G22, H23, H23_12, priority=priority), submission_id=str(number)))
        hub.deliver(sealed.data, [H23, H23_12])
    async with pulled.running():
        everything = await waits(pulled, 6)
    assert [one.priority for one in everything] == [Priority.EXPRESS] * 2 + [Priority.NORMAL] * 4
    pages, after = [], ""
    while page := await pulled.facade.waiting(after=after, limit=4):
        pages += page
        after = page[-1].cursor
    assert pages == everything
    own = await pulled.facade.waiting(recipients=[H23_12])
    assert (
        [one.key.recipient for one in own]
        == [H23_12] * 3
        == [H23_12] * await pulled.facade.count_waiting(recipients=[H23_12])
    )
    assert not await pulled.facade.waiting(kind=MessageKind.STATUS)
    assert await pulled.facade.count_waiting(kind=MessageKind.DOCUMENT) == 6
    for nonsense in ("x", "1.2.3", "1.2.3.H23.", "-1.0.0.H23", "1.99999999999999999.3.H23"):
        with pytest.raises(Rejected):
            await pulled.facade.waiting(after=nonsense)


async def test_an_offer_is_one_adapters_alone(pulled: Node, hub: HubSimulator, world: World) -> None:
    """Another adapter of the node neither sees, reads nor settles it; nor does anybody what was never offered."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with pulled.running():
        (waiting,) = await waits(pulled, 1)
    other = pulled.facade_of("other")
    assert (await other.waiting(), await other.count_waiting(), await other.delivery(waiting.key)) == ((), 0, None)
    assert (await other.lock([waiting.key], seconds=9)).keys == ()
    assert await refusal(other.settle(waiting.key, Accepted())) == "delivery-unknown"
    assert await refusal(pulled.facade.settle(DeliveryKey(sealed.message_id, H31), Accepted())) == "delivery-unknown"


async def test_settled_twice_at_once_it_is_handed_over_once(pulled: Node, hub: HubSimulator, world: World) -> None:
    """Two that settle the same message side by side make one receipt."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with pulled.running():
        (waiting,) = await waits(pulled, 1)
        await asyncio.gather(*(pulled.facade.settle(waiting.key, Accepted()) for _ in range(4)))
        await eventually(lambda: len(hub.receipts_reported()) == 2)
    story = await pulled.queries.story(sealed.message_id)
    assert [receipt.event for receipt in story.receipts].count(ReceiptEvent.CONTENT_HANDOVER) == 1


async def test_what_is_for_another_adapter_now_is_handed_over_to_that(
    pulled: Node, hub: HubSimulator, world: World
) -> None:
    """Offers that the settings give to another adapter are taken back; the others stay, with their locks."""
    for code in (H23, H23_12):
        hub.deliver(world.sealed(envelope(document(G22, code), submission_id=code.value)).data, [code])
    async with pulled.running():
        keys = [waiting.key for waiting in await waits(pulled, 2)]
    await pulled.facade.lock(keys, seconds=60)
    own = Connected("test", pulled.adapter)
    other = Connected("other", pulled.adapter)

    def route(to: Addressed) -> Connected:
        return other if to.code == H23 else own

    assert await take_back_strays(pulled.database, route, pulled.clock) == 1
    assert await take_back_strays(pulled.database, route, pulled.clock) == 0
    (kept,) = await pulled.facade.waiting()
    assert (kept.key.recipient, kept.locked_until is not None) == (H23_12, True)
    assert await refusal(pulled.facade.settle(DeliveryKey(keys[0].message_id, H23), Accepted())) == "delivery-unknown"
