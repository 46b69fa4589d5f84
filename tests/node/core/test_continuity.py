"""Continuity: what a restored node asks for, what it waits with, and which of the hub's epochs it follows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, update

from node.store import recipients, resubmissions, standing
from node.store.message_tables import outbox
from node.store.receipt_tables import receipts
from node.store.states import DeliveryState, OutboxState
from node.usecases.continuity import Continuity
from node.usecases.own_messages import OwnMessages
from schemas.errors import Rejected, Unavailable
from tests.node.core.asking import becomes, has_trouble
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, document
from transport.client import HubClient
from transport.wire import MailboxAnswer, ReplaysAnswer, SentAnswer

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass(slots=True)
class AskedHub:
    """A hub that has nothing to give back; it notes from when on it was asked, and breaks off while `fails`."""

    fails: bool = True
    asked: list[datetime | None] = field(default_factory=list)

    async def sent(self, *, since: datetime | None, after: int) -> SentAnswer:
        self.asked.append(since)
        if self.fails:
            raise Unavailable("hub-unreachable", "The line is cut.")
        return SentAnswer(messages=(), next=None)

    async def replays(self, after: int) -> ReplaysAnswer:
        return ReplaysAnswer(reopened=0, purged=(), finished=True)


def continuity(node: Node, hub: object = None) -> Continuity:
    # Nothing is fetched back here: neither the hub's other calls nor own messages are asked for.
    asked: HubClient = hub  # type: ignore[assignment]
    own: OwnMessages = None  # type: ignore[assignment]
    return Continuity(node.database, asked, own, node.wakeups, window=timedelta(days=7), clock=node.clock)


def answer(epoch: str = "epoch-1", *, reported: int = 0) -> MailboxAnswer:
    return MailboxAnswer(epoch=epoch, hub_time=NOW, directory_version=1, reported=reported)


async def accepted(node: Node, key: str, at: datetime) -> str:
    """A message of the node that the hub accepted at `at`."""
    name = await node.submit(document(H23, G22, subject=key), key=key)
    values = {"state": OutboxState.ACCEPTED, "accepted_at": at}
    await node.database.write(
        lambda transaction: transaction.execute(update(outbox).where(outbox.c.message_id == name).values(values))
    )
    return name


async def restored_at(node: Node) -> Sequence[object]:
    known = await node.database.read(standing.of_hub)
    return known.epoch, known.restored_at


async def test_catching_up_goes_on_from_where_the_backup_ends(node: Node) -> None:
    """However often it breaks off, and whatever is accepted meanwhile: the gap is asked for until all has come."""
    backup_ends = NOW - timedelta(days=3)
    await accepted(node, "old", backup_ends)
    hub = AskedHub()
    with pytest.raises(Unavailable):
        await continuity(node, hub).catch_up(answer(reported=9))
    await accepted(node, "new", NOW)
    hub.fails = False
    await continuity(node, hub).catch_up(answer(reported=9))
    assert hub.asked[0] == hub.asked[1] == backup_ends - timedelta(days=1)
    known = await node.database.read(standing.of_hub)
    assert (known.mark, known.catching_up_from) == (9, None)
    await continuity(node, hub).catch_up(answer(reported=9))
    assert len(hub.asked) == 2


async def test_nothing_is_sent_before_the_record_was_compared_with_the_hubs(node: Node, hub: HubSimulator) -> None:
    """The first answer of the mailbox is asked for without a wait; until it is there, the sender stands still."""
    name = await node.submit(document(H23, G22), key="1")
    hub.mailbox_opens.clear()

    async def asked() -> bool:
        return bool(hub.polls)

    async with node.running("sender", "receiver"):
        await eventually(asked)
        await asyncio.sleep(0.2)
        assert not hub.tries
        hub.mailbox_opens.set()
        await becomes(node, name, OutboxState.ACCEPTED)
    assert hub.polls[0] == 0
    assert set(hub.polls[1:]) <= {node.settings.receiver.wait}


async def test_an_answer_out_of_an_epoch_that_is_over_changes_nothing(node: Node) -> None:
    """A late answer of the hub before its restore is put aside; nothing is queued anew for it."""
    name = await accepted(node, "1", NOW)
    follower = continuity(node)
    await follower.follow_epoch(answer("epoch-1"))
    await follower.follow_epoch(answer("epoch-2"))
    followed = await restored_at(node)
    await node.database.write(partial(resubmissions.end, message_id=name, epoch="epoch-2"))
    with pytest.raises(Unavailable) as caught:
        await follower.follow_epoch(answer("epoch-1"))
    assert caught.value.code == "epoch-over"
    await follower.follow_epoch(answer("epoch-2"))
    assert await restored_at(node) == followed
    assert await node.database.read(resubmissions.count) == 0


@pytest.mark.parametrize("rule", ["about-unknown", "recipient-unknown"])
async def test_a_hub_restored_just_now_refuses_nothing_for_good(node: Node, hub: HubSimulator, rule: str) -> None:
    """What it may be brought again by others is waited for even before the mailbox has told of the new epoch."""
    await continuity(node).follow_epoch(answer("epoch-1"))
    hub.faults.refuse = lambda _name: Rejected(rule, "It is not known here.")
    name = await node.submit(document(H23, G22), key="1")
    hub.epoch = "epoch-2"
    async with node.running("sender"):
        put_off = await has_trouble(node, name, rule)
        assert put_off.state is not OutboxState.REFUSED
        hub.epoch = "epoch-1"
        await becomes(node, name, OutboxState.REFUSED)


@pytest.mark.parametrize(("accepted_ago", "told_ago", "queued"), [(1, 30, 1), (30, 1, 1), (30, 30, 0)])
async def test_no_recipients_clock_decides_what_a_restored_hub_is_brought(
    node: Node, hub: HubSimulator, accepted_ago: int, told_ago: int, queued: int
) -> None:
    """A recipient whose clock is years behind has had the message; what counts is when the hub took it, we heard it."""
    name = await node.submit(document(H23, G22), key="1")
    async with node.running("sender"):
        await becomes(node, name, OutboxState.ACCEPTED)

    def as_if(transaction: Connection) -> int:
        recipients.advance(
            transaction, name, G22, DeliveryState.HANDED_OVER, at=NOW - timedelta(days=800), trouble=None
        )
        transaction.execute(update(outbox).values(accepted_at=NOW - timedelta(days=accepted_ago)))
        transaction.execute(update(receipts).values(stored_at=NOW - timedelta(days=told_ago)))
        return resubmissions.begin(transaction, since=NOW - timedelta(days=7), at=NOW)

    assert await node.database.write(as_if) == queued
