"""Order: nothing reaches the agency's software before what it speaks of, in whatever order it arrives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from adapters.sdk import Accepted, Delivery, Later, Never, Outcome, Refused
from certs.sealing import Sealed
from node.store.states import HandoverState
from schemas.message import Business, BusinessType, Document, StatusCode
from tests.node.core.asking import handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually
from tests.node.core.world import G22, H23, H23_12, World, document, envelope, recall, status
from tests.services.columns import ON_SQLITE
from transport.wire import DeliveryTrace, MessageTrace

#: A link of a chain: what it is, and which links (by place) it speaks of.
Link = tuple[BusinessType | StatusCode, tuple[int, ...]]

NEW, RECALL, UPDATE, REPLACE = BusinessType
CHAINS: dict[str, Sequence[Link]] = {
    "taken back and recalled": [(NEW, ()), (StatusCode.TAKEN_BACK, (0,)), (RECALL, (0,))],
    "updated, replaced, recalled": [(NEW, ()), (UPDATE, (0,)), (REPLACE, (0,)), (RECALL, (2,))],
    "two replaced by one": [(NEW, ()), (NEW, ()), (REPLACE, (0, 1))],
    "each about the one before": [(NEW, ()), (REPLACE, (0,)), (RECALL, (1,))],
}


def chain_of(world: World, links: Sequence[Link], name: str) -> list[Sealed]:
    """The messages of a chain from G22 to H23, sealed; `name` keeps equal chains apart."""
    made: list[Sealed] = []
    original = document(G22, H23)
    for place, (what, spoken_of) in enumerate(links):
        message = status(G22, original, what) if isinstance(what, StatusCode) else business(original, what)
        about = [made[number].message_id for number in spoken_of]
        made.append(world.sealed(envelope(message, about=about, submission_id=f"{name}-{place}")))
    return made


def business(original: Document, what: BusinessType) -> Document:
    if what is NEW:
        return original
    return replace(recall(original), business=Business(type=what, reason="Sửa", paper=False))


class Software:
    """Takes what it is given, now and then at the second try; notes when each hand-over began and ended."""

    def __init__(self, unwilling: float = 0.0) -> None:
        self.steps: list[tuple[str, str]] = []
        self._chance = Random(3)
        self._unwilling = unwilling

    async def answer(self, delivery: Delivery) -> Outcome:
        if self._chance.random() < self._unwilling:
            return Later("Bận")
        self.steps.append(("begins", delivery.key.message_id))
        self.steps.append(("ends", delivery.key.message_id))
        return Accepted()


@ON_SQLITE
@pytest.mark.parametrize("name", CHAINS)
async def test_every_order_of_arrival_is_handed_over_in_a_legal_one(
    node: Node, hub: HubSimulator, world: World, name: str
) -> None:
    """A chain that arrives in any permutation, to software that now and then is busy, is handed over link by link."""
    links = CHAINS[name]
    software = Software(unwilling=0.2)
    node.adapter.answer = software.answer
    chains = []
    for order in itertools.permutations(range(len(links))):
        chain = chain_of(world, links, "".join(map(str, order)))
        chains.append(chain)
        for place in order:
            hub.deliver(chain[place].data, [H23])
    async with node.running():
        await eventually(lambda: len(software.steps) == 2 * len(links) * len(chains))
    at = {step: place for place, step in enumerate(software.steps)}
    for chain in chains:
        for (_, spoken_of), sealed in zip(links, chain, strict=True):
            for number in spoken_of:
                assert at["ends", chain[number].message_id] < at["begins", sealed.message_id]
    assert len(at) == len(software.steps), "something was handed over twice"
    assert all(delivery.missing == () for delivery in node.adapter.deliveries)


@ON_SQLITE
@pytest.mark.parametrize("name", CHAINS)
async def test_what_never_came_is_marked(node: Node, hub: HubSimulator, world: World, name: str) -> None:
    """Without its first document, in any order, a chain goes on after the hold; only what is absent is marked."""
    links = CHAINS[name]
    node.settings = SETTINGS.model_copy(update={"handover": SETTINGS.handover.model_copy(update={"hold": 0.2})})
    chains = []
    for order in itertools.permutations(range(1, len(links))):
        chain = chain_of(world, links, "".join(map(str, order)))
        chains.append(chain)
        for place in order:
            hub.deliver(chain[place].data, [H23])
    async with node.running():
        await eventually(lambda: len(node.adapter.deliveries) == (len(links) - 1) * len(chains))
    seen = {delivery.key.message_id: delivery for delivery in node.adapter.deliveries}
    places = {key.message_id: place for place, key in enumerate(node.adapter.keys)}
    for chain in chains:
        for (_, spoken_of), sealed in zip(links[1:], chain[1:], strict=True):
            about = [chain[number].message_id for number in spoken_of]
            assert list(seen[sealed.message_id].missing) == [name for name in about if name == chain[0].message_id]
            assert all(places[name] < places[sealed.message_id] for name in about if name in places)


@pytest.mark.parametrize("state", ["expired", "refused", "cancelled"])
async def test_a_hold_ends_at_once_when_nothing_will_come(
    node: Node, hub: HubSimulator, world: World, state: str
) -> None:
    """While the hub still has the document the recall is held; when its delivery ended there, the recall goes on."""
    first, second = chain_of(world, [(NEW, ()), (RECALL, (0,))], "gone")
    hub.traces[first.message_id] = _trace(first.message_id, "queued", world)
    hub.deliver(second.data, [H23])
    async with node.running():
        await handed(node, second.message_id, HandoverState.HELD)
        hub.traces[first.message_id] = _trace(first.message_id, state, world)
        # Whatever arrives is a reason to ask again.
        hub.deliver(world.sealed(envelope(document(G22, H23), submission_id="other")).data, [H23])
        await handed(node, second.message_id, HandoverState.HANDED_OVER)
    assert node.adapter.deliveries[-1].missing == (first.message_id,)


def _trace(message_id: str, state: str, world: World) -> MessageTrace:
    delivery = DeliveryTrace(recipient=H23.value, state=state, attempts=1, updated_at=world.now)
    return MessageTrace(
        message_id=message_id,
        sender=G22.value,
        kind="document",
        priority=0,
        accepted_at=world.now,
        deliveries=(delivery,),
    )


@pytest.mark.parametrize("outcome", [Refused("Sai"), Never("Không đọc được")], ids=["refused", "parked"])
async def test_a_document_that_ended_otherwise_lets_its_recall_go(
    node: Node, hub: HubSimulator, world: World, outcome: Outcome
) -> None:
    """A document that the software refused, or that is parked, did come: its recall follows it, without a mark."""
    first, second = chain_of(world, [(NEW, ()), (RECALL, (0,))], "ended")

    async def answer(delivery: Delivery) -> Outcome:
        return outcome if delivery.key.message_id == first.message_id else Accepted()

    node.adapter.answer = answer
    hub.deliver(second.data, [H23])
    hub.deliver(first.data, [H23])
    async with node.running():
        await handed(node, second.message_id, HandoverState.HANDED_OVER)
    assert [(delivery.key.message_id, delivery.missing) for delivery in node.adapter.deliveries] == [
        (first.message_id, ()),
        (second.message_id, ()),
    ]


async def test_the_hold_does_not_end_while_the_document_is_here(node: Node, hub: HubSimulator, world: World) -> None:
    """Software that is away for longer than the hold gets the document first all the same."""
    first, second = chain_of(world, [(NEW, ()), (RECALL, (0,))], "away")
    away = True

    async def answer(_delivery: Delivery) -> Outcome:
        return Later("Bảo trì", seconds=0.05) if away else Accepted()

    node.adapter.answer = answer
    hub.deliver(first.data, [H23])
    hub.deliver(second.data, [H23])
    async with node.running():
        await handed(node, second.message_id, HandoverState.HELD)
        node.clock.ahead = timedelta(seconds=SETTINGS.handover.hold + 5)
        tried = len(node.adapter.deliveries)
        await eventually(lambda: len(node.adapter.deliveries) > tried + 2)
        away = False
        await handed(node, second.message_id, HandoverState.HANDED_OVER)
    assert {key.message_id for key in node.adapter.keys[:-1]} == {first.message_id}


async def test_an_agency_that_never_got_the_document_gets_the_mark(node: Node, hub: HubSimulator, world: World) -> None:
    """What is missing is told for each agency of the node by itself."""
    original = document(G22, H23)
    first = world.sealed(envelope(original))
    # A second agency of this node, which the document did not go to.
    wider = recall(document(G22, H23, H23_12))
    second = world.sealed(envelope(wider, about=[first.message_id]))
    hub.traces[first.message_id] = _trace(first.message_id, "delivered", world)
    node.settings = SETTINGS.model_copy(update={"handover": SETTINGS.handover.model_copy(update={"hold": 0.2})})
    hub.deliver(first.data, [H23])
    hub.deliver(second.data, [H23, H23_12])
    async with node.running():
        await eventually(lambda: len(node.adapter.deliveries) == 3)
    missing = {
        delivery.key.recipient: delivery.missing
        for delivery in node.adapter.deliveries
        if delivery.key.message_id == second.message_id
    }
    assert missing == {H23: (), H23_12: (first.message_id,)}
