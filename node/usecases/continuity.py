"""Continuity: whether this node's record and its hub's belong together still, for either may have been restored.

A hub that was says so by a new epoch. Then every message that it may lack is submitted once more, and receipts that it
may lack are reported once more. A node that was finds that its hub knows of more than it does itself: a higher mark, or
a message that it does not know it has sent. Then it fetches its own messages back, and has all that it took out of its
mailbox since then offered again. Both are asked at each answer of the mailbox, before anything is taken out of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from node.store import outbox, recovered, reports, resubmissions, standing
from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.standing import HubStanding
from node.usecases.lanes import LANES
from node.usecases.own_messages import OwnMessages
from node.usecases.work import Work
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.envelope import Sha256Hex
from schemas.errors import Unavailable
from transport.client import HubClient
from transport.wire import MailboxAnswer

log = structlog.get_logger()

#: The newest message of a backup bears the hub's time; so much earlier is asked for what came after it, for a hub's
#: clock may have been set meanwhile. What is known already costs a line of the answer.
_MARGIN: Final = timedelta(days=1)

#: From when on is asked by a record that holds nothing accepted.
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Continuity:
    """`window` is how far back a backup of the hub may lie."""

    def __init__(
        self,
        database: Database,
        hub: HubClient,
        own: OwnMessages,
        wakeups: Wakeups,
        *,
        window: timedelta,
        clock: Clock,
    ) -> None:
        self._database = database
        self._hub = hub
        self._own = own
        self._wakeups = wakeups
        self._window = window
        self._clock = clock
        self._not_ours: set[Sha256Hex] = set()

    async def is_unbroken(self, answer: MailboxAnswer) -> bool:
        """Whether neither side was restored, as far as `answer` tells: the others of this class have nothing to do."""
        known, strange = await self._database.glance(partial(self._compared, answer=answer))
        return known.epoch == answer.epoch and not _has_gap(known, answer, strange)

    async def follow_epoch(self, answer: MailboxAnswer) -> None:
        """If the hub was restored, queue in one transaction what it may lack.

        Raises Unavailable (`epoch-over`) for an answer out of an epoch that the hub has left: nothing in it holds.
        """
        known = await self._database.read(standing.of_hub)
        if known.epoch == answer.epoch:
            return
        if await self._database.read(partial(standing.is_over, epoch=answer.epoch)):
            raise Unavailable(
                "epoch-over",
                f"The hub answers from its epoch {answer.epoch}, which it had left for {known.epoch}.",
                mend="A late answer passes by itself. If it goes on, the hub runs on a backup that it was not told of: "
                "its operator runs `congvan hub restored`.",
            )
        now = self._clock()
        queued = await self._database.write(
            partial(_begin_epoch, before=known.epoch, epoch=answer.epoch, since=now - self._window, at=now)
        )
        if known.epoch is None:
            log.info("hub.met", epoch=answer.epoch)
            return
        log.error(
            "hub.restored",
            epoch=answer.epoch,
            before=known.epoch,
            resubmitting=queued[0],
            receipts=queued[1],
            mend="Nothing is to be done here: what the hub may lack is sent again.",
        )
        for work in (Work.RESUBMITTING, Work.REPORTING):
            self._wakeups.wake(work)

    async def catch_up(self, answer: MailboxAnswer) -> None:
        """If this node was restored, bring back what it sent, and have offered again what it took.

        Raises Unavailable if that breaks off; asked again, it goes on.
        """
        known, strange = await self._database.read(partial(self._compared, answer=answer))
        if not _has_gap(known, answer, strange):
            return
        since = await self._database.write(_begin_catching_up)
        log.error(
            "node.restored",
            mark=known.mark,
            reported=answer.reported,
            mend="Nothing is to be done here: what the hub has of this node comes again.",
        )
        recovered_count = await self._recover_sent(since, answer.epoch)
        reopened = await self._reopen(known.mark)
        await self._database.write(partial(standing.end_catching_up, mark=answer.reported))
        log.warning("node.caught-up", recovered=recovered_count, reopened=reopened)

    def _compared(self, transaction: Transaction, answer: MailboxAnswer) -> tuple[HubStanding, bool]:
        newest = answer.newest_sent
        strange = (
            newest is not None and newest not in self._not_ours and outbox.standing_of(transaction, newest) is None
        )
        return standing.of_hub(transaction), strange

    async def _recover_sent(self, since: datetime, epoch: str) -> int:
        """Statuses that this node had sent by itself are among these: they are known before their cause comes again."""
        count, after = 0, 0
        while True:
            answer = await self._hub.sent(since=since, after=after)
            for message_id in answer.messages:
                count += await self._recover(message_id, epoch)
            if answer.next is None:
                return count
            after = answer.next

    async def _recover(self, message_id: Sha256Hex, epoch: str) -> bool:
        if await self._database.read(partial(outbox.standing_of, message_id=message_id)) is not None:
            return False
        if await self._own.recover(message_id, epoch=epoch):
            return True
        self._not_ours.add(message_id)
        return False

    async def _reopen(self, mark: int) -> int:
        count = 0
        while True:
            answer = await self._hub.replays(mark)
            count += answer.reopened
            for message_id in answer.purged:
                log.error(
                    "message.lost-here",
                    message=message_id,
                    mend="The hub has dropped its bytes as well: ask its sender for it.",
                )
            if answer.finished:
                return count


def _has_gap(known: HubStanding, answer: MailboxAnswer, strange: bool) -> bool:
    """Whether this record lacks what the hub heard from it, or is still to bring that back."""
    return answer.reported > known.mark or strange or known.catching_up_from is not None


def _begin_catching_up(transaction: Transaction) -> datetime:
    newest = recovered.newest_accepted_at(transaction)
    return standing.begin_catching_up(transaction, newest - _MARGIN if newest is not None else _BEGINNING)


def _begin_epoch(
    transaction: Transaction, *, before: str | None, epoch: str, since: datetime, at: datetime
) -> tuple[int, int]:
    """Gives how many messages are to be submitted, and how many receipts reported, once more."""
    standing.begin_epoch(transaction, epoch, restored_at=at if before is not None else None)
    if before is None:
        return 0, 0
    reports.forget_entries(transaction)
    issued = receipt_store.issued_since(transaction, receipt_store.HANDOVERS, since)
    reports.add_receipts(transaction, issued, lane=LANES - 1)
    return resubmissions.begin(transaction, since=since, at=at), len(issued)
