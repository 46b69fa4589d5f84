"""What the nodes record while the demo runs, read beside them from their databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from congvan.demo.telling import Teller
from node.foundation import Foundation, open_foundation
from node.settings import NodeFolder
from node.store.records import OutboxRow, StoryEvent
from node.store.states import DeliveryState, MessageKind
from runtime.lifecycle import sleep_unless
from runtime.wakeups import ring
from schemas.envelope import Sha256Hex
from schemas.message import StatusCode

#: Seconds between two looks.
_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Watch:
    """The record of one agency's node."""

    code: str
    node: Foundation

    async def documents(self) -> list[Sha256Hex]:
        """The documents that came or went, newest first."""
        sent = [row.message for row in await self.node.queries.outbox()]
        received = [row.message for row in await self.node.queries.inbox()]
        return [facts.message_id for facts in (*sent, *received) if facts.kind is MessageKind.DOCUMENT]

    async def document(self) -> Sha256Hex:
        """The one document that this node sent or received."""
        (message_id,) = await self.documents()
        return message_id

    async def outbox_row(self) -> OutboxRow:
        """How the document that this node sent stands."""
        story = await self.node.queries.story(await self.document())
        if story.outbox is None:
            raise LookupError(f"{self.code} sent no document")
        return story.outbox

    async def all_handed_over(self, recipients: int) -> bool:
        if not await self.documents():
            return False
        delivered = [one.delivery for one in (await self.outbox_row()).recipients]
        return delivered == [DeliveryState.HANDED_OVER] * recipients

    async def has_status(self, recipient: str, status: StatusCode) -> bool:
        """Whether `recipient` has reported `status` as its newest."""
        rows = (await self.outbox_row()).recipients
        return any(one.code.value == recipient and one.status == status for one in rows)

    async def respond(self, message_id: Sha256Hex, status: StatusCode, words: str) -> None:
        """Send a status about a document that came, as `congvan node respond` does."""
        await self.node.directory.load()
        await self.node.responder.respond(message_id, status, description=words)
        ring(self.node.folder.doorbell)


@asynccontextmanager
async def open_watch(code: str, folder: Path) -> AsyncIterator[Watch]:
    async with open_foundation(NodeFolder(folder)) as node:
        yield Watch(code, node)


async def follow(watch: Watch, teller: Teller, over: asyncio.Event, *, told_by: str) -> None:
    """Tell each step that the node of `watch` records, once, until `over` is set.

    A receipt or a status stands in the record of both sides; the side `told_by` tells it, for it is meant for them.
    """
    told: set[tuple[Sha256Hex, StoryEvent]] = set()
    ended = False
    while not ended:
        ended = over.is_set()
        for message_id in await watch.documents():
            story = await watch.node.queries.story(message_id)
            for step in story.events:
                if (message_id, step) in told:
                    continue
                told.add((message_id, step))
                if watch.code == told_by or step.event in ("message.arrived", "message.handed-over"):
                    _tell(watch, teller, message_id, step)
        ended = await sleep_unless(over, _LOOK_EVERY) and ended


def _tell(watch: Watch, teller: Teller, message_id: Sha256Hex, step: StoryEvent) -> None:
    words = step.text if step.event != "message.submitted" else f"{step.text} Message {message_id}"
    recipient = step.code.value if step.code else None
    teller.tell(step.event, words, at=step.at, agency=watch.code, message_id=message_id, code=recipient, text=step.text)
