"""An agency that another connection serves from now on: what waits for it goes along."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest

from hub.settings_exchange import ExchangeSettings
from hub.store import audit_log
from hub.usecases.agencies import AgencyRegister, Moved
from hub.usecases.balance import Tally, balance_of
from hub.usecases.connections import TokenMint
from hub.usecases.directory import DirectoryPublisher
from hub.usecases.judgement import Judge
from schemas.codes import AgencyCode
from tests.hub.exchange.conftest import Ground, World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node, rejection
from transport.wire import OutcomeKind, OutcomeResult


@pytest.fixture
def register(world: World, ground: Ground) -> AgencyRegister:
    publisher = DirectoryPublisher(ground.hub_key, timedelta(days=30))
    mint = TokenMint(world.authority.root, timedelta(days=7), secrets.token_bytes)
    return AgencyRegister(world.database, publisher, mint, world.clock)


async def move(register: AgencyRegister, code: str, connection: str) -> Moved:
    return await register.move(AgencyCode(code), connection, actor="lan")


async def test_what_waits_goes_along(world: World, register: AgencyRegister, g22: Node, h23: Node, h31: Node) -> None:
    """A unit that moves finds its documents at its new node; its former neighbours keep theirs; nothing is lost."""
    first = (await g22.send(document("G22", "H23", "H23.12"))).message_id
    second = (await g22.send(document("G22", "H23.12", "H31"))).message_id
    moved = await move(register, "H23.12", "hungyen")
    assert (moved.before, moved.deliveries) == ("haiduong", 2)
    assert [(entry.message_id, entry.recipients) for entry in await h23.envelopes()] == [(first, ("H23",))]
    assert sorted((entry.message_id, entry.recipients) for entry in await h31.envelopes()) == sorted(
        [(first, ("H23.12",)), (second, ("H23.12", "H31"))]
    )
    assert (await balance_of(world.database)).overall == Tally(4, 0, 0, 0, 0, 4)


async def test_the_new_node_settles_and_the_former_cannot(
    world: World, register: AgencyRegister, g22: Node, h23: Node, h31: Node
) -> None:
    """A lease of before ends with the move: its holder speaks for the agency no more, the new node does."""
    await g22.send(document("G22", "H23.12"))
    (entry,) = await h23.envelopes()
    await move(register, "H23.12", "hungyen")
    assert (await h23.report(entry, "G22")).result is OutcomeResult.REFUSED
    (again,) = await h31.envelopes()
    assert (await h31.report(again, "G22")).result is OutcomeResult.RECORDED
    assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)


async def test_what_ended_stays_and_the_order_is_audited(
    world: World, register: AgencyRegister, g22: Node, h23: Node, h31: Node
) -> None:
    """Delivered and refused ones are history; the same order again changes nothing more."""
    await g22.send(document("G22", "H23.12"))
    await g22.send(document("G22", "H23.12"))
    first, second = await h23.envelopes()
    await h23.report(first, "G22")
    await h23.report(second, "G22", OutcomeKind.REFUSED)
    assert (await move(register, "H23.12", "hungyen")).deliveries == 0
    again = await move(register, "H23.12", "hungyen")
    assert (again.version, again.deliveries) == (None, 0)
    assert await h31.envelopes() == []
    (note,) = await world.database.read(lambda transaction: audit_log.latest(transaction, "H23.12", limit=10))
    assert (note.actor, note.action, note.detail["from"], note.detail["to"]) == (
        "lan",
        "agency.moved",
        "haiduong",
        "hungyen",
    )
    assert (await rejection(move(register, "H23.12", "nowhere"))).code == "connection-unknown"
    assert (await rejection(move(register, "H99", "hungyen"))).code == "agency-unknown"


async def test_a_document_that_was_judged_before_the_move_reaches_the_new_node(
    world: World, register: AgencyRegister, h23: Node, h31: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move between the routing of a message and its acceptance is seen by the acceptance."""
    judge = Judge.judge

    async def judge_then_move(self, connection, data):
        judged = await judge(self, connection, data)
        await move(register, "H23.12", "hungyen")
        return judged

    g22 = await world.join("vpcp", "G22")
    monkeypatch.setattr(Judge, "judge", judge_then_move)
    await g22.send(document("G22", "H23.12"))
    assert await h23.envelopes() == []
    assert len(await h31.envelopes()) == 1


class TestDuringAFanout:
    """Deliveries that are not written yet move as well."""

    @pytest.fixture
    def settings(self) -> ExchangeSettings:
        return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0}, "deliveries": {"batch": 1}})

    async def test_nothing_is_fanned_out_to_the_former_connection(
        self, world: World, register: AgencyRegister, g22: Node, h23: Node, h31: Node
    ) -> None:
        """Neither what the fan-out has written of a connection's codes nor what it has left stays behind."""
        await g22.send(document("G22", "H23", "H23.12", "H23.13"))
        await move(register, "H23.12", "hungyen")
        while await world.exchange.fanout.step():
            pass
        (entry,) = await h23.envelopes()
        assert entry.recipients == ("H23", "H23.13")
        (moved,) = await h31.envelopes()
        assert moved.recipients == ("H23.12",)
        assert (await balance_of(world.database)).overall == Tally(3, 0, 0, 0, 0, 3)
