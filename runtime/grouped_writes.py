"""A database as use cases see it, whichever it is: snapshots to read in, and writes that commit in groups."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeAlias, TypeVar

from sqlalchemy import Connection

from schemas.errors import Unavailable

T = TypeVar("T")

#: What a store function is to a database. It has no effects but its statements, for it may run more than once.
Work: TypeAlias = Callable[[Connection], Any]

#: How many waiting writes share one commit at most. Past this the sync is well spread and latency only grows.
GROUP: Final = 64


class DatabaseAway(Unavailable):
    """The server itself cannot be worked with: whoever waits for it waits in vain, each alone as well as together."""


class DatabaseFailed(Unavailable):
    """The database refuses what it is asked, for what it finds or what it is (`database-failed`): waiting alone may not
    mend that, and nothing says that other work fails as well."""


@dataclass(slots=True)
class _Write:
    work: Work
    outcome: asyncio.Future[Any]
    durable: bool


class Database(ABC):
    """One program's database. Made by `runtime.database.open_database`.

    Store functions are plain functions of a `sqlalchemy.Connection`; they know neither threads nor event loops.
    """

    def __init__(self, writers: int = 1) -> None:
        self._writers = writers
        self._urgent: deque[_Write] = deque()
        self._ordinary: deque[_Write] = deque()
        #: One for each write in the two above.
        self._waiting: asyncio.Queue[None] = asyncio.Queue()
        self._went_first = False
        self._committing: list[asyncio.Task[None]] = []

    @abstractmethod
    async def read(self, question: Callable[[Connection], T]) -> T:
        """The answer of `question`, asked in one snapshot. It changes nothing."""

    async def glance(self, question: Callable[[Connection], T]) -> T:
        """As `read`, for a question that takes a millisecond at most.

        A database in a file is asked on the event loop: a hop to a thread and back costs more than the question, and
        somebody waits for it.
        """
        return await self.read(question)

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True, urgent: bool = False) -> T:
        """Run `work` in a transaction and return its answer once that is committed and synced.

        What is not `durable` is committed, and not waited for at the disk: a power cut, or the death of a database
        server, may undo it. So it is for what nobody outside is told of as a fact, and what comes about again.

        What is `urgent` waits for the transaction under way and for no other: it commits before those that waited, and
        not in one with them.

        `work` may run more than once (when a neighbour in its group fails, each is run again alone; when it
        collides with another process), so it has no effects but its statements. If it raises, nothing of it is
        written and the error comes here. A caller that is cancelled while it waits does not stop the work.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._ordinary).append(_Write(work, outcome, durable))
        self._waiting.put_nowait(None)
        return await asyncio.shield(outcome)

    @abstractmethod
    async def exclusively(self, work: Callable[[Connection], T]) -> T:
        """As `write`, while no other process is in an `exclusively`: a change of the schema, and no traffic."""

    @abstractmethod
    def hold(self, lock: str) -> AbstractAsyncContextManager[asyncio.Event | None]:
        """Hold `lock` among all processes that work in this database, or give None if another one holds it.

        Gives an event that is set when the lock is lost before it is given back. Raises Unavailable.
        """

    @abstractmethod
    async def now(self) -> datetime | None:
        """The instant by the server's clock; None where that is this machine's own. Raises Unavailable."""

    @abstractmethod
    async def _transaction(self, works: Sequence[Work], durable: bool) -> list[Any]:
        """Run `works` in one transaction, commit it, `durable` or not, and give their answers."""

    @abstractmethod
    async def _close(self) -> None:
        """Give back what the database holds. No write is under way any more."""

    async def _commit_groups(self) -> None:
        while True:
            await self._waiting.get()
            group = self._next_group()
            for _ in group[1:]:
                self._waiting.get_nowait()
            await self._commit(group)
            for _ in group:
                self._waiting.task_done()

    def _next_group(self) -> list[_Write]:
        """The urgent writes; all others when there are none, or when others let such a group go first just now."""
        self._went_first = bool(self._urgent) and not (self._went_first and self._ordinary)
        group: list[_Write] = []
        for writes in (self._urgent,) if self._went_first else (self._ordinary, self._urgent):
            while writes and len(group) < GROUP:
                group.append(writes.popleft())
        return group

    async def _commit(self, group: Sequence[_Write]) -> None:
        try:
            durable = any(write.durable for write in group)
            answers = await self._transaction([write.work for write in group], durable)
        except Exception as error:  # noqa: BLE001 - every error belongs to a caller; the loop must outlive it
            if len(group) > 1 and not isinstance(error, DatabaseAway):
                for write in group:
                    await self._commit([write])
                return
            for write in group:
                if not write.outcome.done():
                    write.outcome.set_exception(error)
                    # The caller may be gone; its error is not to be reported as never retrieved.
                    write.outcome.exception()
            return
        for write, answer in zip(group, answers, strict=True):
            if not write.outcome.done():
                write.outcome.set_result(answer)

    async def __aenter__(self) -> Self:
        self._committing = [
            asyncio.create_task(self._commit_groups(), name="database.commits") for _ in range(self._writers)
        ]
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._waiting.join()
        for task in self._committing:
            task.cancel()
        await asyncio.gather(*self._committing, return_exceptions=True)
        await self._close()
