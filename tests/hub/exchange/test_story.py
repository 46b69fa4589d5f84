"""`hub trace`: what the operator is told of a document."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from hub.settings_exchange import ExchangeSettings
from hub.usecases.story import Story, story_of
from schemas.message import BusinessType, StatusCode
from schemas.receipts import ReceiptEvent
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document, status
from tests.hub.exchange.nodes import Node, rejection
from tests.hub.exchange.test_operator import H23, cancel, expire, noted, redeliver, whole_tables
from tests.services.columns import ON_SQLITE
from transport.wire import Outcome, OutcomeKind, OutcomesRequest

DOCUMENT_ID = "G22,2026/11/20,6101/VPCP-KSTT"


async def story(world: World, name: str) -> Story:
    return await story_of(world.database, name, world.clock)


async def test_the_whole_way_is_told_in_the_order_of_time(world: World, g22: Node, h23: Node) -> None:
    """Accepted, expired, queued anew by whom and why, consigned, handed over: each with when, where and by whom."""
    message_id = (await g22.send(document("G22", "H23"))).message_id
    await expire(world)
    world.clock.advance(seconds=1)
    await redeliver(world, message_id, H23)
    world.clock.advance(seconds=1)
    (entry,) = await h23.envelopes()
    await h23.report(entry, "G22")
    world.clock.advance(seconds=1)
    await h23.hand_over(message_id, "G22", "H23")
    told = await story(world, message_id)
    assert [(step.event, step.recipient, step.party) for step in told.steps] == [
        ("accepted", None, "G22"),
        (ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE, "H23", "hub.example.test"),
        ("delivery.redelivered", None, "lan"),
        (ReceiptEvent.CONTENT_CONSIGNMENT, "H23", "H23"),
        (ReceiptEvent.CONTENT_HANDOVER, "H23", "H23"),
    ]
    assert "the node was mended" in (told.steps[2].detail or "")
    assert [step.at for step in told.steps] == sorted(step.at for step in told.steps)
    (delivery,) = told.deliveries
    assert (delivery.state, delivery.round) == ("delivered", 1)


async def test_a_delivery_under_way_is_told_as_it_stands(world: World, g22: Node, h23: Node) -> None:
    """Who has it on lease and until when; how often it came back and why last."""
    message_id = (await g22.send(document("G22", "H23"))).message_id
    (entry,) = await h23.envelopes()
    (leased,) = (await story(world, message_id)).deliveries
    assert (leased.state, leased.leased_until) == ("leased", entry.leased_until)
    outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.RELEASED, reason="the disk is full")
    await h23.client.report(OutcomesRequest(outcomes=(outcome,)))
    (queued,) = (await story(world, message_id)).deliveries
    assert (queued.state, queued.attempts, queued.last_error) == ("queued", 1, "the disk is full")
    assert queued.leased_until is None
    await cancel(world, message_id)
    told = await story(world, message_id)
    assert (told.deliveries[0].state, told.deliveries[0].last_error) == ("cancelled", "gửi nhầm")
    assert told.steps[-1].detail == "cancelled: gửi nhầm"


async def test_what_speaks_of_it_is_told_with_its_own_deliveries(world: World, g22: Node, h23: Node) -> None:
    """A status with its words and a recall, each with where it stands; and from the recall back to the document."""
    message_id = (await g22.send(document("G22", "H23"))).message_id
    await h23.report((await h23.envelopes())[0], "G22")
    await h23.send(status("H23", StatusCode.ACCEPTED, message_id))
    recall = (await g22.send(document("G22", "H23", business=BusinessType.RECALL, about=(message_id,)))).message_id
    told = await story(world, message_id)
    assert [(each.kind, each.sender, each.says, each.deliveries) for each in told.speaking] == [
        ("status", "H23", "03 Văn thư đã tiếp nhận", {"queued": 1}),
        ("recall", "G22", DOCUMENT_ID, {"queued": 1}),
    ]
    assert (await story(world, recall)).speaks_of == (message_id,)


async def test_a_document_id_finds_the_newest_document_and_lists_the_others(world: World, g22: Node, h23: Node) -> None:
    """A document sent twice under one DocumentId is told of once, the other is named; a status is not taken for it."""
    first = (await g22.send(document("G22", "H23"))).message_id
    second = (await g22.send(document("G22", "H23"))).message_id
    for entry in await h23.envelopes():
        await h23.report(entry, "G22")
    answer = (await h23.send(status("H23", StatusCode.ACCEPTED, second))).message_id
    told = await story(world, DOCUMENT_ID)
    assert told.message_id == second
    assert [each.message_id for each in told.namesakes] == [first, answer]
    assert (await story(world, second[:10])).namesakes == ()
    assert (await rejection(story(world, "G22,2026/11/20,9999/VPCP"))).code == "message-unknown"


@ON_SQLITE
async def test_a_story_reads_no_table_as_a_whole(world: World, g22: Node, h23: Node) -> None:
    """The trace of one document costs what that document is, however many there are."""
    message_id = (await g22.send(document("G22", "H23"))).message_id
    with noted() as statements:
        await story(world, message_id)
        await story(world, message_id[:8])
        await story(world, DOCUMENT_ID)

    def scans(transaction: Connection) -> list[tuple[str, str]]:
        return list(whole_tables(transaction, statements))

    assert await world.database.read(scans) == []


class TestDuringAFanout:
    """A circular whose deliveries are still being written."""

    @pytest.fixture
    def settings(self) -> ExchangeSettings:
        return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0}, "deliveries": {"batch": 1}})

    async def test_names_whom_the_fanout_has_not_come_to(self, world: World, g22: Node, h23: Node, h31: Node) -> None:
        """Written and unwritten deliveries are told apart, and none is missing."""
        message_id = (await g22.send(document("G22", "H23", "H31"))).message_id
        told = await story(world, message_id)
        assert ([each.recipient for each in told.deliveries], told.unwritten) == (["H23"], ("H31",))
