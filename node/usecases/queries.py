"""What people ask a node: outbox, inbox, the story of one message, how it does, whether the count balances."""

from __future__ import annotations

from node.store.records import BalanceRow, InboxRow, MessageStory, NodeStatus, OutboxRow
from node.usecases.directory import DirectoryCopy
from node.usecases.identity import NodeIdentity
from runtime.blobs import BlobStore
from runtime.database import Database


class Queries:
    def __init__(
        self, database: Database, blobs: BlobStore, directory: DirectoryCopy, identity: NodeIdentity
    ) -> None: ...

    async def outbox(self, *, waiting: bool = False, refused: bool = False, limit: int = 50) -> tuple[OutboxRow, ...]:
        """The newest messages of ours, newest first; only those that wait, or were refused, if so asked."""
        raise NotImplementedError

    async def inbox(self, *, waiting: bool = False, limit: int = 50) -> tuple[InboxRow, ...]:
        """The newest messages received, newest first; only those not yet handed over, if so asked."""
        raise NotImplementedError

    async def story(self, name: str) -> MessageStory:
        """The story of the message `name`: its id, a unique beginning of it of at least 8 digits, or a DocumentId (the
        newest message that carries it). Raises Rejected: `message-unknown`, `message-ambiguous`."""
        raise NotImplementedError

    async def sealed(self, message_id: str) -> bytes:
        """The envelope's bytes as they travel. Raises Rejected: `message-unknown`."""
        raise NotImplementedError

    async def status(self) -> NodeStatus:
        raise NotImplementedError

    async def balance(self) -> tuple[BalanceRow, ...]:
        """A row for each agency that this node sends for, and last the sum."""
        raise NotImplementedError
