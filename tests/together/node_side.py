"""A node's side: the real node, of which each loop takes one step when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import aiohttp
from yarl import URL

from adapters.sdk import Accepted, Delivery, Guarantee, Health, Outcome, OutgoingAttachment, Submission
from node.foundation import Foundation, open_foundation
from node.settings import NodeFolder
from node.usecases.adapter_calls import AdapterCalls, Connected
from node.usecases.downloads import Downloads
from node.usecases.intake import Intake
from node.usecases.receipts import ReceiptVerifier
from node.usecases.reporting import Reporting
from node.workers import services
from node.workers.pool import Pool
from node.workers.services import ExchangeParts
from runtime.clock import Clock
from schemas.envelope import Selector
from schemas.errors import CongvanError, Unavailable
from schemas.message import Document, StatusMessage
from tests.node.core.world import digest_of
from tests.together.hub_side import CONNECTION
from transport.client import HubClient


@dataclass(slots=True)
class Software:
    """The agencies' software: it commits the key with the document, so that a repeat is no second document."""

    guarantee: ClassVar[Guarantee] = Guarantee.EXACTLY_ONCE
    answer: Callable[[Delivery], Awaitable[Outcome]] | None = None
    offered: list[tuple[str, str]] = field(default_factory=list)

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.offered.append((delivery.key.message_id, delivery.key.recipient.value))
        return Accepted() if self.answer is None else await self.answer(delivery)

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RunningNode:
    """An open node, stepped by hand."""

    foundation: Foundation
    hub: HubClient
    software: Software
    parts: ExchangeParts
    intake: Intake

    async def submit(
        self,
        message: Document | StatusMessage,
        *files: Path,
        key: str,
        about: tuple[str, ...] = (),
        selectors: tuple[Selector, ...] = (),
    ) -> str:
        """Queue a message; gives its id."""
        submission = Submission(
            key=key,
            fingerprint=digest_of(key.encode()),
            message=message,
            attachments=[
                OutgoingAttachment(name=path.name, content_type="application/pdf", description="", path=path)
                for path in files
            ],
            about=about,
            selectors=selectors,
        )
        return (await self.foundation.api("test").submit(submission)).message_id

    async def send(self) -> int:
        """Send what is ready; gives how many messages were tried."""
        return await self._work(services._sender(self.parts, self._verifier))

    async def hand_over(self) -> int:
        """Hand over what is ready; gives how many were tried."""
        return await self._work(services._handover(self.parts))

    async def fetch(self) -> int:
        """Fetch one answer of the mailbox and take it in whole; gives how many entries it had."""
        try:
            answer = await self.hub.mailbox(wait=0.0, limit=self.parts.settings.receiver.batch)
        except CongvanError:
            return 0
        try:
            async with asyncio.TaskGroup() as downloads:
                await self.intake.take(answer, downloads)
        except* CongvanError:
            pass
        return len(answer.entries)

    async def report(self) -> bool:
        """Tell the hub what is queued for it, one batch; False if there was none or it was not heard."""
        try:
            return await Reporting(self.parts.database, self.hub, self.parts.settings.reports).report()
        except Unavailable:
            return False

    @property
    def _verifier(self) -> ReceiptVerifier:
        return ReceiptVerifier(self.parts.database, self.parts.directory, self.parts.identity)

    async def _work(self, pool: Pool[Any]) -> int:
        queue = pool._queue
        await queue.wake_due()
        await queue.recover()
        done = 0
        for row in (await queue.look(100, ())).rows:
            done += 1
            with contextlib.suppress(Unavailable):
                await queue.do(row)
        return done


@contextlib.asynccontextmanager
async def running_node(
    folder: Path, connection: str, hub: URL, software: Software, *, clock: Clock, chance: Random
) -> AsyncIterator[RunningNode]:
    """The node in `folder`, until left."""
    async with (
        open_foundation(NodeFolder(folder), clock=clock) as foundation,
        aiohttp.ClientSession(headers={CONNECTION: connection}, auto_decompress=False) as session,
    ):
        await foundation.directory.load()
        client = HubClient(session, hub)
        parts = ExchangeParts(
            database=foundation.database,
            blobs=foundation.blobs,
            attachments=foundation.attachments,
            downloads=Downloads(foundation.blobs, client, foundation.transfers),
            transfers=foundation.transfers,
            directory=foundation.directory,
            identity=foundation.identity,
            hub=client,
            route=lambda _code: Connected("software", software),
            calls=AdapterCalls(),
            guards=foundation.guards,
            wakeups=foundation.wakeups,
            settings=foundation.settings.exchange,
            clock=clock,
            chance=chance,
        )
        yield RunningNode(foundation, client, software, parts, services.intake_of(parts))
