"""The resubmitter: brings to a restored hub what it may lack, the most urgent first."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import partial
from random import Random

from node.settings_exchange import SenderSettings
from node.store import resubmissions
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.sending_queue import ReadyMessage
from node.usecases.backoff import longest_rest, wait_after
from node.usecases.resubmitting import Resubmitting
from node.usecases.work import Work
from node.workers.pool import Found
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex


class ResubmissionQueue:
    """The resubmissions, as a `node.workers.pool.WorkQueue`: half as many at a time as of what is new."""

    name = "resubmitter"
    work = Work.RESUBMITTING

    def __init__(
        self,
        database: Database,
        resubmitting: Resubmitting,
        *,
        settings: SenderSettings,
        clock: Clock,
        chance: Random,
    ) -> None:
        self._database = database
        self._backoff = settings.backoff
        self._chance = chance
        self._resubmitting = resubmitting
        self._clock = clock
        self.parallel = max(1, settings.parallel // 2)
        self.longest_rest = longest_rest(settings.backoff)

    async def look(self, limit: int, running: Collection[ReadyMessage]) -> Found[ReadyMessage]:  # noqa: ARG002
        def seen(transaction: Transaction) -> Found[ReadyMessage]:
            return Found(resubmissions.ready(transaction, limit=limit), resubmissions.next_due(transaction))

        return await self._database.read(seen)

    async def wake_due(self) -> None:
        await self._database.write(partial(resubmissions.wake_rested, now=self._clock(), longest=self.longest_rest))

    async def recover(self) -> None:
        await self._database.write(resubmissions.wake_all)

    def key(self, row: ReadyMessage) -> Sha256Hex:
        return row.message_id

    def admits(self, row: ReadyMessage, running: Collection[ReadyMessage]) -> bool:  # noqa: ARG002 - a WorkQueue
        return True

    async def put_off(self, row: ReadyMessage, trouble: Trouble) -> None:
        due_at = self._clock() + timedelta(seconds=wait_after(row.attempts + 1, self._backoff, self._chance))
        await self._database.write(
            partial(resubmissions.put_off, message_id=row.message_id, trouble=trouble, due_at=due_at)
        )

    async def do(self, row: ReadyMessage) -> None:
        await self._resubmitting.submit(row)
