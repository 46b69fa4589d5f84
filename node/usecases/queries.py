"""What people ask a node: outbox, inbox, the story of one message, how it does, whether the count balances."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Final

from node.store import contact, deadlines, figures, listing, reports, resubmissions, transfers
from node.store import directory as directory_store
from node.store import messages as message_store
from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.records import BalanceRow, DueRow, InboxRow, MessageStory, NodeStatus, OutboxRow
from node.store.states import HandoverState, OutboxState
from node.usecases.directory import DirectoryCopy
from node.usecases.identity import NodeIdentity
from node.usecases.naming import message_named
from node.usecases.retention import sealed_bytes
from node.usecases.stories import arrival_steps, own_steps, receipt_step, word_step
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database

#: Messages that speak of one, in its story: thousands of recipients say more of a document than anyone reads.
_WORDS: Final = 1000

_NOT_HANDED_OVER: Final = (*(state for state in HandoverState if state.is_waiting), HandoverState.PARKED)


class Queries:
    """Reads the record, each answer in one snapshot; works beside the daemon and without it."""

    def __init__(
        self, database: Database, blobs: BlobStore, directory: DirectoryCopy, identity: NodeIdentity, clock: Clock
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._directory = directory
        self._identity = identity
        self._clock = clock

    async def outbox(
        self, *, waiting: bool = False, refused: bool = False, limit: int = 50, most: int | None = None
    ) -> tuple[OutboxRow, ...]:
        """The newest messages of ours, newest first; only those that wait, or were refused, if so asked.

        Each with its first `most` recipients, and counts of all.
        """
        states = [
            state
            for state in OutboxState
            if (waiting and state.is_waiting) or (refused and state is OutboxState.REFUSED)
        ]
        return await self._database.read(partial(self._outbox, states=states or None, limit=limit, most=most))

    async def inbox(self, *, waiting: bool = False, limit: int = 50) -> tuple[InboxRow, ...]:
        """The newest messages received, newest first; only those not yet handed over, if so asked."""
        if waiting:
            return await self._database.read(partial(listing.inbox_rows_with, states=_NOT_HANDED_OVER, limit=limit))
        return await self._database.read(partial(listing.inbox_rows, limit=limit))

    async def due(self, *, limit: int = 50) -> tuple[DueRow, ...]:
        """Documents with a deadline that our agencies have not finished, refused or given back; the earliest first."""
        return await self._database.read(partial(listing.due_rows, limit=limit))

    async def story(self, name: str, *, most: int | None = None) -> MessageStory:
        """The story of the message `name`: its id, a unique beginning of at least 8 digits, or a DocumentId.

        Of recipients, receipts and messages that speak of it the first `most`. A DocumentId means the newest document
        that carries it. Raises Rejected: `message-unknown`, `message-ambiguous`.
        """
        return await self._database.read(partial(self._story, name=name, most=most))

    async def sealed(self, name: str) -> bytes:
        """The envelope's bytes as they travel; `name` as for `story`, and so the errors, and `payload-purged`."""
        return await self._database.read(partial(_sealed, name=name))

    async def status(self) -> NodeStatus:
        """How the node does."""
        return await self._database.read(self._status)

    async def balance(self) -> tuple[BalanceRow, ...]:
        """A row for each agency whose messages the hub has accepted, by code; and last the sum."""
        return await self._database.read(figures.balance)

    def _outbox(
        self, transaction: Transaction, states: Collection[OutboxState] | None, limit: int, most: int | None
    ) -> tuple[OutboxRow, ...]:
        rows = listing.outbox_rows(transaction, states=states, limit=limit, most=most)
        return self._with_transfers(transaction, rows)

    def _story(self, transaction: Transaction, name: str, most: int | None) -> MessageStory:
        story = _story(transaction, name, most)
        if story.outbox is None:
            return story
        (row,) = self._with_transfers(transaction, (story.outbox,))
        return replace(story, outbox=row)

    def _with_transfers(self, transaction: Transaction, rows: tuple[OutboxRow, ...]) -> tuple[OutboxRow, ...]:
        """The rows, with those of their attachments that are on their way."""
        moving = transfers.under_way(transaction, at=self._clock())
        if not moving:
            return rows
        return tuple(
            replace(row, transfers=tuple(one for one in moving if one.message_id == row.message.message_id))
            for row in rows
        )

    def _status(self, transaction: Transaction) -> NodeStatus:
        return NodeStatus(
            connection=self._identity.connection,
            hub=self._identity.hub,
            served_codes=tuple(self._directory.served_codes),
            contact=contact.last_contact(transaction),
            directory=directory_store.state(transaction),
            outbox=figures.outbox_counts(transaction),
            oldest_waiting_at=figures.oldest_waiting(transaction),
            inbox=figures.inbox_count(transaction),
            handovers=figures.handover_counts(transaction),
            deadlines=deadlines.counts(transaction),
            reports_waiting=reports.count(transaction),
            resubmissions_waiting=resubmissions.count(transaction),
            free_bytes=self._blobs.free_bytes(),
            transfers=transfers.under_way(transaction, at=self._clock()),
        )


def _story(transaction: Transaction, name: str, most: int | None) -> MessageStory:
    message_id = message_named(transaction, name)
    ours = listing.outbox_row(transaction, message_id, most=most)
    received = listing.inbox_row(transaction, message_id)
    facts = message_store.facts(transaction, message_id)
    assert facts is not None  # noqa: S101 - its name was found among the messages
    receipts = receipt_store.of_message(transaction, message_id, most=most)
    steps = [receipt_step(receipt) for receipt in receipts]
    if ours is not None:
        steps.extend(own_steps(ours))
    if received is not None:
        steps.extend(arrival_steps(received))
    for speaking in listing.speaking_of(transaction, message_id, limit=min(_WORDS, most or _WORDS)):
        row = listing.outbox_row(transaction, speaking) or listing.inbox_row(transaction, speaking)
        if row is not None:
            steps.append(word_step(row))
    return MessageStory(
        message=facts,
        outbox=ours,
        inbox=received,
        attachments=message_store.attachments_of(transaction, message_id),
        receipts=receipts,
        receipts_count=len(receipts) if most is None else receipt_store.count_of(transaction, message_id),
        events=tuple(sorted(steps, key=lambda step: step.at)),
    )


def _sealed(transaction: Transaction, name: str) -> bytes:
    return sealed_bytes(transaction, message_named(transaction, name))
