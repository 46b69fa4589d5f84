"""Holds: everything that is awaited is asked about, whatever number of agencies waits for one message."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import insert

from congvan.audit.comparison import Sides, Stage, compared, in_flight
from node.store.audit_records import NodeRecord
from node.store.message_tables import handover_predecessors
from node.store.metadata import Transaction
from node.store.states import HandoverState
from node.usecases.holds import Holds
from schemas.codes import AgencyCode
from schemas.errors import Unavailable
from tests.node.core.node_under_test import Node
from tests.node.core.world import document
from transport.client import HubClient

CODES = [AgencyCode(f"H23.{number:03}") for number in range(1, 26)]
AWAITED = [f"{number:064x}" for number in range(1, 26)]


class Answers:
    """A hub that is away for the question number `away`, and knows that nothing comes any more."""

    def __init__(self, away: int = 0) -> None:
        self.asked: list[str] = []
        self._away = away

    async def message(self, message_id: str) -> Any:
        self.asked.append(message_id)
        if len(self.asked) == self._away:
            raise Unavailable("hub-unreachable", "Gone.")
        return SimpleNamespace(deliveries=[SimpleNamespace(recipient=code.value, state="expired") for code in CODES])


async def _waiting(node: Node, codes: list[AgencyCode], awaited: list[str]) -> None:
    ours = await node.submit(document(), key="ours")

    def wait(transaction: Transaction) -> None:
        for code in codes:
            for name in awaited:
                transaction.execute(insert(handover_predecessors).values(message_id=ours, code=code, predecessor=name))

    await node.database.write(wait)


async def test_all_agencies_that_wait_for_one_message_go_on(node: Node) -> None:
    """Twenty-five agencies wait for one message that does not come: one question frees them all."""
    await _waiting(node, CODES, AWAITED[:1])
    hub = Answers()
    assert await Holds(node.database, cast("HubClient", hub), node.wakeups).review() == 25
    assert hub.asked == AWAITED[:1]


async def test_a_question_that_was_not_answered_is_asked_again(node: Node) -> None:
    """A round that breaks off goes on where it stopped; every message that is awaited is asked about."""
    await _waiting(node, CODES[:1], AWAITED)
    hub = Answers(away=3)
    holds = Holds(node.database, cast("HubClient", hub), node.wakeups)
    with pytest.raises(Unavailable):
        await holds.review()
    assert [await holds.review(), await holds.review()] == [20, 3]
    assert hub.asked == [*AWAITED[:3], *AWAITED[2:]]


@pytest.mark.parametrize(
    ("state", "stages"),
    [(HandoverState.PARKED, [Stage.PARKED]), (HandoverState.REFUSED, [])],
    ids=["parked", "refused"],
)
def test_what_is_parked_is_listed_by_an_audit(state: HandoverState, stages: list[Stage]) -> None:
    """What waits for a person is on its way and no finding; what the software refused is settled."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    node = NodeRecord(message_id=AWAITED[0], envelope=None, outbox=None, created_at=None, received_at=at)
    node.handovers["H23"] = state
    sides = Sides(AWAITED[0], False, frozenset({"own"}), None, {"own": node})
    assert [(each.stage, each.agency, each.since) for each in in_flight(sides)] == [(s, "H23", at) for s in stages]
    assert list(compared(sides)) == []
