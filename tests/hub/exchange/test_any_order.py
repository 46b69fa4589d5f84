"""Whatever nodes, time and operators do in whatever order: the balance holds, nothing is stuck, delivered stays so."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from sqlalchemy import Connection

from hub.usecases.balance import balance_of
from schemas.errors import Rejected
from schemas.message import Priority
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node
from tests.hub.exchange.test_operator import cancel, redeliver
from transport.wire import EnvelopeEntry, Outcome, OutcomeKind, OutcomesRequest, ReceiptEntry

#: The connection of each recipient.
SERVED = {"H23": "haiduong", "H23.12": "haiduong", "H23.13": "haiduong", "H31": "hungyen"}

#: What each act may do to a delivery.
ALLOWED = {
    "send": {(None, "queued")},
    "fetch": set(),
    "consign": {("queued", "delivered"), ("expired", "delivered"), ("cancelled", "delivered")},
    "refuse": {("queued", "refused")},
    "release": set(),
    "hand_over": {("queued", "delivered"), ("expired", "delivered"), ("cancelled", "delivered")},
    "pass_time": {("queued", "expired")},
    "cancel": {("queued", "cancelled")},
    "redeliver": {(end, "queued") for end in ("refused", "expired", "cancelled")},
}


@dataclass
class Play:
    """A hub, the node of a sender and those of its recipients, and what they have been handed."""

    world: World
    sender: Node
    recipients: dict[str, Node]
    chance: Random
    sent: list[str] = field(default_factory=list)
    held: list[tuple[Node, EnvelopeEntry]] = field(default_factory=list)

    async def send(self) -> None:
        codes = self.chance.sample(sorted(SERVED), self.chance.randint(1, len(SERVED)))
        priority = self.chance.choice([Priority.NORMAL, Priority.EXPRESS])
        self.sent.append((await self.sender.send(document("G22", *codes, priority=priority))).message_id)

    async def fetch(self) -> None:
        node = self.chance.choice(list(self.recipients.values()))
        self.held.extend((node, entry) for entry in await node.envelopes(limit=self.chance.randint(1, 5)))

    async def consign(self) -> None:
        await self._report(OutcomeKind.CONSIGNED)

    async def refuse(self) -> None:
        await self._report(OutcomeKind.REFUSED)

    async def _report(self, kind: OutcomeKind) -> None:
        """Of any lease, current or long over, for all its codes or one; a report stays at hand and may be repeated."""
        if self.held:
            node, entry = self.chance.choice(self.held)
            one = (self.chance.choice(entry.recipients),)
            await node.report(entry, "G22", kind, codes=self.chance.choice([None, one]))

    async def release(self) -> None:
        if self.held:
            node, entry = self.chance.choice(self.held)
            outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.RELEASED)
            await node.client.report(OutcomesRequest(outcomes=(outcome,)))

    async def hand_over(self) -> None:
        if self.held:
            node, entry = self.chance.choice(self.held)
            await node.hand_over(entry.message_id, "G22", self.chance.choice(entry.recipients))

    async def pass_time(self) -> None:
        self.world.clock.advance(seconds=self.chance.choice([10, 120, 86_400, 31 * 86_400]))
        await self.world.exchange.expiry.run()

    async def cancel(self) -> None:
        await self._order(cancel(self.world, self.chance.choice(self.sent))) if self.sent else None

    async def redeliver(self) -> None:
        if self.sent:
            again = self.chance.random() < 0.3
            await self._order(redeliver(self.world, self.chance.choice(self.sent), again=again))

    async def _order(self, order) -> None:
        try:
            await order
        except Rejected as error:
            if error.code not in {"nothing-to-cancel", "nothing-to-redeliver"}:
                raise

    async def run_dry(self) -> None:
        """Everything that ended is offered anew, and every node takes all that it is handed."""
        for message_id in self.sent:
            await self._order(redeliver(self.world, message_id))
        # Longer than any lease or backoff, and far from any expiry.
        for _ in range(40):
            self.world.clock.advance(hours=2)
            for node in self.recipients.values():
                for entry in await node.envelopes():
                    await node.report(entry, "G22")

    async def states(self) -> dict[tuple[int, str], str]:
        rows = await self.world.database.read(
            lambda transaction: transaction.exec_driver_sql("SELECT message, recipient, state FROM deliveries").all()
        )
        return {(row.message, row.recipient): row.state for row in rows}


def stuck(transaction: Connection) -> list[object]:
    """Queued deliveries that no open entry of their connection offers."""
    return list(
        transaction.exec_driver_sql(
            "SELECT d.message, d.recipient FROM deliveries d WHERE d.state = 'queued' AND NOT EXISTS ("
            "SELECT 1 FROM mailbox_entries e WHERE e.message = d.message AND e.connection = d.connection"
            " AND e.receipt IS NULL AND e.open"
            " AND '\n' || e.codes || '\n' LIKE '%\n' || d.recipient || '\n%')"
        )
    )


@pytest.mark.parametrize("seed", range(5))
async def test_the_balance_holds_in_any_order(seed: int, world: World, g22: Node, h23: Node, h31: Node) -> None:
    """After each of many random acts the count balances, and a delivery changed only as that act may change it."""
    play = Play(world, g22, {"haiduong": h23, "hungyen": h31}, Random(seed))
    before: dict[tuple[int, str], str] = {}
    for _ in range(70):
        act = play.chance.choice([*ALLOWED, "send", "fetch", "fetch", "consign"])
        await getattr(play, act)()
        after = await play.states()
        changes = {(before.get(key), state) for key, state in after.items() if before.get(key) != state}
        assert changes <= ALLOWED[act], act
        balance = await balance_of(world.database)
        assert balance.balances, act
        assert balance.overall.accepted == len(after)
        assert await world.database.read(stuck) == [], act
        before = after
    await play.run_dry()
    assert set((await play.states()).values()) == {"delivered"}
    # Each receipt came to the sender once, however often it was told.
    receipts = [entry for entry in (await g22.fetch(limit=5000)).entries if isinstance(entry, ReceiptEntry)]
    assert len(receipts) == await world.count("receipts WHERE recipient IS NOT NULL")
