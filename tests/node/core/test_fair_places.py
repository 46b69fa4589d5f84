"""One agency's software hangs, or one message is broken: what is for the others is handed over all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

import pytest
from sqlalchemy import delete

from adapters.sdk import Accepted, Delivery, Outcome
from node.settings_exchange import HandoverSettings
from node.store import inbox
from node.store.handovers import ReadyHandover
from node.store.message_tables import envelopes
from node.store.metadata import Transaction
from node.store.states import HandoverState
from node.usecases.adapter_calls import Connected
from node.usecases.lanes import EXPRESS_LANE, LANES
from node.workers.fair_places import FairPlaces
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable
from schemas.receipts import ReceiptEvent
from tests.node.core.asking import arrives, handed, verified
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import QUICK, Node, RecordingAdapter, eventually
from tests.node.core.world import G22, H23, H23_12, H31, World, document, envelope
from tests.services.columns import ON_SQLITE

_ORDINARY = LANES - 1


def _arriving(hub: HubSimulator, world: World, code: AgencyCode, name: str) -> Sha256Hex:
    sealed = world.sealed(envelope(document(G22, code, subject=name), submission_id=name))
    hub.deliver(sealed.data, [code])
    return sealed.message_id


async def _without_bytes(node: Node, message_id: Sha256Hex) -> None:
    await node.database.write(
        lambda transaction: transaction.execute(delete(envelopes).where(envelopes.c.message_id == message_id))
    )


async def test_a_message_without_bytes_is_parked_and_stops_no_other(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A message whose bytes are lost is parked, shown and attested as a failure; those after it are handed over."""
    names = [_arriving(hub, world, H23, str(number)) for number in range(4)]
    async with node.running("receiver"):
        for name in names:
            await arrives(node, name)
    await _without_bytes(node, names[0])
    async with node.running():
        row = await handed(node, names[0], HandoverState.PARKED)
        for name in names[1:]:
            await handed(node, name, HandoverState.HANDED_OVER)
        await eventually(lambda: len(hub.receipts_reported()) == 8)
    assert row.trouble is not None
    assert row.trouble.code == "message-unknown"
    failure = ReceiptEvent.CONTENT_HANDOVER_FAILURE
    reported = [verified(signed, world) for signed in hub.receipts_reported()]
    assert [each.message_id for each in reported if each.event is failure] == [names[0]]
    assert await node.parked.drive_again(names[0]) == 1


async def test_a_row_that_cannot_be_read_is_not_the_probe_each_time(
    node: Node, hub: HubSimulator, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When reading a message fails as if the database were away, it rests, and others probe and come through."""
    names = [_arriving(hub, world, H23, str(number)) for number in range(4)]
    async with node.running("receiver"):
        for name in names:
            await arrives(node, name)
    read = inbox.stored

    def failing(transaction: Transaction, message_id: Sha256Hex) -> inbox.StoredMessage | None:
        if message_id == names[0]:
            raise Unavailable("database-unavailable", "This page of the database cannot be read.")
        return read(transaction, message_id)

    monkeypatch.setattr(inbox, "stored", failing)
    async with node.running("handover"):
        for name in names[1:]:
            await handed(node, name, HandoverState.HANDED_OVER)
        row = await handed(node, names[0], HandoverState.RESTING)
    assert row.trouble is not None
    assert row.trouble.code == "database-unavailable"


@ON_SQLITE
async def test_software_that_hangs_holds_up_no_other_agency(node: Node, hub: HubSimulator, world: World) -> None:
    """H23's software answers nothing and a hundred documents wait for it: a document for H23.12 is handed over."""

    async def answer(delivery: Delivery) -> Outcome:
        if delivery.key.recipient == H23:
            await asyncio.sleep(3600)
        return Accepted()

    node.adapter.answer = answer
    hanging = _arriving(hub, world, H23, "hanging")
    async with node.running("receiver"):
        await arrives(node, hanging)
    await node.database.write(partial(_multiplied, message_id=hanging, count=99))
    short = HandoverSettings(timeout=0.2, backoff=QUICK)
    node.settings = node.settings.model_copy(update={"handover": short})
    async with node.running("receiver", "handover"):
        # Some have timed out, and the software is called with one at a time.
        await eventually(lambda: len(node.adapter.keys) >= 4)
        for number in range(3):
            await handed(node, _arriving(hub, world, H23_12, str(number)), HandoverState.HANDED_OVER)
    assert any(key.recipient == H23 for key in node.adapter.keys)


@ON_SQLITE
async def test_many_that_hang_hide_nobody(node: Node, hub: HubSimulator, world: World) -> None:
    """Software hangs for good with a hundred documents before another agency's in the queue: that one is reached."""

    async def answer(delivery: Delivery) -> Outcome:
        if delivery.key.recipient == H23:
            await asyncio.sleep(3600)
        return Accepted()

    node.adapter.answer = answer
    hanging = _arriving(hub, world, H23, "hanging")
    async with node.running("receiver"):
        await arrives(node, hanging)
        other = _arriving(hub, world, H23_12, "other")
        await arrives(node, other)
    await node.database.write(partial(_multiplied, message_id=hanging, count=99))
    async with node.running("handover"):
        await handed(node, other, HandoverState.HANDED_OVER)


def _multiplied(transaction: Transaction, *, message_id: Sha256Hex, count: int) -> None:
    """Have `count` more documents like one that is there, all before any other in the queue."""
    for table in ("messages", "envelopes", "inbox", "handovers"):
        names = [row.name for row in transaction.exec_driver_sql(f"PRAGMA table_info({table})")]
        # The numbers of the record are positive; these lie before them.
        changed = {"message_id": "printf('%064x', n)", "sequence": "sequence - 1000 - n"}
        values = ", ".join(changed.get(name, f'"{name}"') for name in names)
        columns = ", ".join(f'"{name}"' for name in names)
        transaction.exec_driver_sql(
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})"
            f" INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, c WHERE message_id = ?",
            (message_id,),
        )


class Desk:
    """Who runs, and who may begin, at a node with four places, one of them kept for express."""

    def __init__(self, **adapters: RecordingAdapter) -> None:
        served: Sequence[AgencyCode] = (H23, H23_12, H31)
        named = {"H23": "first", "H23.12": "first", "H31": "second"}
        self.places = FairPlaces(
            HandoverSettings(), lambda to: self._connected(adapters, named[to.code.value]), lambda: served
        )
        self.running: list[ReadyHandover] = []

    @staticmethod
    def _connected(adapters: dict[str, RecordingAdapter], name: str) -> Connected:
        known = name if name in adapters else "first"
        return Connected(known, adapters[known])

    def begin(self, code: AgencyCode, lane: int = _ORDINARY, *, is_bulk: bool = False) -> bool:
        row = ReadyHandover(f"{len(self.running):064x}", code, lane, 0, is_bulk)
        if not self.places.admits(row, self.running):
            return False
        self.running.append(row)
        return True

    def full(self, *, is_express: bool = False) -> Collection[AgencyCode]:
        return self.places.without_place(self.running, is_express=is_express)


def test_an_agency_leaves_a_place_to_the_others() -> None:
    """Of three places for ordinary documents an agency has two at most, and the third is another's."""
    desk = Desk(first=RecordingAdapter())
    assert [desk.begin(H23) for _ in range(3)] == [True, True, False]
    assert desk.full() == {H23}
    assert desk.begin(H23_12)


def test_an_adapter_leaves_a_place_to_the_others() -> None:
    """However many agencies one adapter serves, they leave a place to those of another."""
    desk = Desk(first=RecordingAdapter(), second=RecordingAdapter())
    assert [desk.begin(H23), desk.begin(H23_12), desk.begin(H23_12)] == [True, True, False]
    assert desk.full() == {H23, H23_12}
    assert desk.begin(H31)


def test_after_a_timeout_an_agency_has_one_place_until_its_software_answers() -> None:
    """Who hangs has one place, and all who hang leave one; an answer gives back the rest."""
    desk = Desk(first=RecordingAdapter())
    desk.places.note(H23, timed_out=True)
    assert [desk.begin(H23) for _ in range(2)] == [True, False]
    for code in (H23_12, H31):
        desk.places.note(code, timed_out=True)
    assert [desk.begin(H23_12), desk.begin(H31)] == [True, False]
    desk.running.clear()
    desk.places.note(H23, timed_out=False)
    assert [desk.begin(H23) for _ in range(3)] == [True, True, False]


def test_express_documents_of_one_agency_leave_a_place_as_well() -> None:
    """Express documents to software that hangs do not take the place of another agency's."""
    desk = Desk(first=RecordingAdapter())
    assert [desk.begin(H23, EXPRESS_LANE) for _ in range(4)] == [True, True, True, False]
    assert desk.full(is_express=True) == {H23}
    assert desk.begin(H31, EXPRESS_LANE)


def test_bulk_leaves_a_place_to_short_documents() -> None:
    """Of three places for ordinary documents large ones have two, whoever they are for; express ones have their own."""
    desk = Desk(first=RecordingAdapter())
    assert [desk.begin(code, is_bulk=True) for code in (H23, H23_12, H31)] == [True, True, False]
    assert desk.begin(H31)
    assert desk.begin(H31, EXPRESS_LANE, is_bulk=True)
