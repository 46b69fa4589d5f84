"""Clocks that are wrong by hours: nothing is refused for it, nothing is lost, nothing comes twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from hub.usecases.balance import balance_of
from node.store.states import DeliveryState, HandoverState, OutboxState
from tests.together.documents import document, recall
from tests.together.ground import Ground
from tests.together.site import Site, opened

HOURS = 10.0


async def everything_is_settled(site: Site) -> None:
    """Each message of each node is accepted and handed over once to each recipient; the hub's count balances."""
    for name, node in ((name, site.node(name)) for name in ("g22", "h23", "h31")):
        for row in await node.foundation.queries.outbox(limit=1000):
            assert row.state is OutboxState.ACCEPTED, (name, row.trouble)
            assert {one.delivery for one in row.recipients} == {DeliveryState.HANDED_OVER}, (name, row)
        for row in await node.foundation.queries.inbox(limit=1000):
            assert {one.state for one in row.handovers} == {HandoverState.HANDED_OVER}
        keys = site.software[name].offered
        assert len(keys) == len(set(keys))
    balance = await balance_of(site.hub.foundation.database)
    assert balance.balances
    assert balance.overall.accepted == balance.overall.delivered > 0


@pytest.mark.parametrize(
    "ahead",
    [
        {"hub": HOURS},
        {"hub": -HOURS},
        {"g22": -HOURS, "h23": HOURS, "h31": 3 * HOURS},
    ],
    ids=str,
)
async def test_nothing_is_refused_for_a_clock_that_is_wrong_by_hours(
    ground: Ground, tmp_path: Path, ahead: dict[str, float]
) -> None:
    """Documents, statuses, recalls and receipts go all the way, whoever's clock is ahead or behind."""
    async with opened(ground.copy(tmp_path / "site"), ground.made_at) as site:
        site.ahead = {name: timedelta(hours=hours) for name, hours in ahead.items()}
        await site.restart("hub")
        original = document("G22", "H23", "H31", number=1)
        sent = await site.node("g22").submit(original, key="1")
        await site.node("h31").submit(document("H31", "G22", number=2), key="2")
        await site.run_dry()
        await site.node("g22").submit(recall(original, 3), key="3", about=(sent,))
        await site.run_dry()
        await everything_is_settled(site)


async def test_clocks_that_jump_back_and_forth_lose_nothing(ground: Ground, tmp_path: Path) -> None:
    """Between any two steps the hub's clock or a node's jumps by hours, either way, and is right again in the end."""
    async with opened(ground.copy(tmp_path / "site"), ground.made_at) as site:
        g22 = site.node("g22")
        await g22.submit(document("G22", "H23", "H31", number=1), key="1")
        await g22.send()
        site.ahead = {"hub": timedelta(hours=HOURS), "h23": timedelta(hours=-HOURS)}
        await site.restart("hub")
        await site.node("h23").fetch()
        site.ahead = {"hub": timedelta(hours=-HOURS), "g22": timedelta(hours=HOURS)}
        await site.restart("hub")
        await site.node("h23").report()
        await site.node("h31").fetch()
        await site.node("h31").hand_over()
        site.ahead = {}
        await site.restart("hub")
        await site.run_dry()
        await everything_is_settled(site)
