"""Runs: software that takes messages at once gets many to a run, and none waits there behind one that takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, event

from adapters.sdk import Accepted, Delivery, Later, Outcome
from node.store import inbox
from node.store.handovers import ReadyHandover
from node.store.inbox import StoredMessage
from node.store.metadata import Transaction
from node.store.states import HandoverState
from node.usecases.handover import Attempt, HandingOver, Opened
from node.usecases.lanes import LANES
from node.workers import handover
from node.workers.runs import LONGEST_RUN, RUN_SECONDS, Paces, runs_of
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable
from schemas.travel import parse_envelope
from tests.node.core.asking import arrives, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, H23_12, World, document, envelope
from tests.services.columns import ON_SQLITE, engines

DOCUMENTS = 12


class Known(Paces):
    """The paces of a node whose software has been fast so far."""

    def __init__(self) -> None:
        super().__init__()
        self.note(H23, [RUN_SECONDS / 1000] * LONGEST_RUN)


async def _arrived(node: Node, hub: HubSimulator, world: World) -> list[Sha256Hex]:
    names = []
    for number in range(DOCUMENTS):
        sealed = world.sealed(envelope(document(G22, H23), submission_id=str(number)))
        hub.deliver(sealed.data, [H23])
        names.append(sealed.message_id)
    async with node.running("receiver"):
        for name in names:
            await arrives(node, name)
    return names


async def test_a_run_is_recorded_together(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fast software takes in one run costs a few commits, and comes to it in the order of arrival."""
    names = await _arrived(node, hub, world)
    monkeypatch.setattr(handover, "Paces", Known)
    monkeypatch.setattr(handover, "RUN_SECONDS", 60.0)
    commits: list[None] = []

    def note(_connection: Connection) -> None:
        commits.append(None)

    _, writer = engines(node.database)
    event.listen(writer, "commit", note)
    async with node.running("handover"):
        for name in names:
            await handed(node, name, HandoverState.HANDED_OVER)
    event.remove(writer, "commit", note)
    assert len(commits) < DOCUMENTS / 2
    assert [key.message_id for key in node.adapter.keys] == names


@ON_SQLITE
async def test_nothing_waits_in_a_run_for_software_that_hangs(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Software that was fast hangs with the first document of a run: the others are handed over beside it."""
    names = await _arrived(node, hub, world)
    monkeypatch.setattr(handover, "Paces", Known)
    hangs = asyncio.Event()

    async def answer(delivery: Delivery) -> Outcome:
        if delivery.key.message_id == names[0]:
            await hangs.wait()
        return Accepted()

    node.adapter.answer = answer
    async with node.running("handover"):
        for name in names[1:]:
            await handed(node, name, HandoverState.HANDED_OVER)
        await handed(node, names[0], HandoverState.READY)
        hangs.set()
        await handed(node, names[0], HandoverState.HANDED_OVER)
    assert sorted(key.message_id for key in node.adapter.keys) == sorted(names)


@ON_SQLITE
async def test_one_that_cannot_be_read_stops_no_other_of_its_run(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one document of a run cannot be read, the others are handed over, and that one alone rests."""
    names = await _arrived(node, hub, world)
    monkeypatch.setattr(handover, "Paces", Known)
    read = inbox.stored

    def failing(transaction: Transaction, message_id: Sha256Hex) -> inbox.StoredMessage | None:
        if message_id == names[3]:
            raise Unavailable("database-unavailable", "This page of the database cannot be read.")
        return read(transaction, message_id)

    monkeypatch.setattr(inbox, "stored", failing)
    async with node.running("handover"):
        for name in names:
            await handed(node, name, HandoverState.RESTING if name == names[3] else HandoverState.HANDED_OVER)


@ON_SQLITE
async def test_a_fault_of_ours_with_one_message_stops_no_other_of_its_run(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this program itself fails on one document of a run, that one alone is tried again; each goes out once."""
    names = await _arrived(node, hub, world)
    monkeypatch.setattr(handover, "Paces", Known)
    attempt = HandingOver.attempt
    failed: list[ReadyHandover] = []

    async def failing(handing_over: HandingOver, row: ReadyHandover, opened: Opened) -> Attempt:
        if row.message_id == names[3] and not failed:
            failed.append(row)
            raise ZeroDivisionError
        return await attempt(handing_over, row, opened)

    monkeypatch.setattr(HandingOver, "attempt", failing)
    async with node.running("handover"):
        for name in names:
            await handed(node, name, HandoverState.HANDED_OVER)
    assert failed
    assert sorted(key.message_id for key in node.adapter.keys) == sorted(names)


@ON_SQLITE
async def test_what_was_just_verified_is_not_read_once_more(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Software gets the same from a document that has just come, not read since, and from the record's bytes."""
    read: list[bytes] = []

    def noted(data: bytes) -> Any:
        read.append(data)
        return parse_envelope(data)

    monkeypatch.setattr("node.usecases.handover.parse_envelope", noted)
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])

    async def not_now(_delivery: Delivery) -> Outcome:
        return Later("Not now.")

    node.adapter.answer = not_now
    async with node.running("receiver", "handover"):
        await eventually(lambda: bool(node.adapter.deliveries))
    assert not read
    node.adapter.answer = None
    async with node.running("handover"):
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert read == [sealed.data]
    assert node.adapter.deliveries[0] == node.adapter.deliveries[-1]


def _row(number: int, code: AgencyCode = H23, lane: int = LANES - 1, *, is_bulk: bool = False) -> ReadyHandover:
    return ReadyHandover(f"{number:064x}", code, lane, 0, is_bulk)


def _numbers(rows: Sequence[ReadyHandover], paces: Paces) -> list[list[int]]:
    return [[int(row.message_id, 16) for row in run.rows] for run in runs_of(rows, paces)]


def test_a_run_is_for_one_agency_in_one_lane_and_bulk_is_alone() -> None:
    """Runs keep the queue's order, share neither agency nor lane, and a large document is in none with others."""
    rows = [_row(1, lane=1), _row(2), _row(3, H23_12), _row(4, is_bulk=True), _row(5), _row(6, H23_12)]
    assert _numbers(rows, Known()) == [[1], [2, 5], [3], [4], [6]]


def test_software_that_is_not_known_to_be_fast_gets_messages_one_by_one() -> None:
    """Runs grow while software takes messages at once, and are of one message where it needs longer."""
    paces = Paces()
    rows = [_row(number) for number in range(100)]
    lengths = []
    for _ in range(4):
        lengths.append(len(runs_of(rows, paces)[0].rows))
        paces.note(H23, [RUN_SECONDS / 1000] * lengths[-1])
    assert lengths[0] == 1
    assert lengths == sorted(lengths)
    assert lengths[-1] == LONGEST_RUN
    paces.note(H23, [RUN_SECONDS / 4] * 8)
    assert paces.of(H23) == 4
    paces.note(H23, [RUN_SECONDS * 2])
    assert paces.of(H23) == 1


async def test_what_just_arrived_is_handed_over_without_being_read_again(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The software gets the same from memory as from the record, which is asked once the node has forgotten."""
    asked: list[Sha256Hex] = []
    stored = inbox.stored

    def noted(transaction: Transaction, message_id: Sha256Hex) -> StoredMessage | None:
        asked.append(message_id)
        return stored(transaction, message_id)

    async def later(_delivery: Delivery) -> Outcome:
        return Later("Not yet.", seconds=0.0)

    monkeypatch.setattr(inbox, "stored", noted)
    node.adapter.answer = later
    sealed = world.sealed(envelope(document(G22, H23), b"content"))
    hub.deliver(sealed.data, [H23], [b"content"])
    async with node.running("receiver", "handover"):
        await eventually(lambda: bool(node.adapter.deliveries))
    assert asked == []
    node.adapter.answer = None
    async with node.running("handover"):
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    assert set(asked) == {sealed.message_id}
    assert node.adapter.deliveries[0] == node.adapter.deliveries[-1]
    assert node.adapter.deliveries[0].attachments[0].size == len(b"content")
