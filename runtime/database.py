"""The database of a program: snapshots to read in, and writes that commit in groups.

Store functions are plain functions of a `sqlalchemy.Connection`; they know neither threads nor event loops.
`Database.read` runs one in a snapshot. `Database.write` runs one in a transaction that it may share with the
writes waiting at that moment: at once when idle, many to a sync under load. When `write` returns, what it
wrote is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from runtime.files import PRIVATE, make_private_folder, storage_errors
from schemas.errors import CongvanError, Unavailable

T = TypeVar("T")

#: How many waiting writes share one commit at most. Past this the sync is well spread and latency only grows.
GROUP = 64

#: How long a SQLite connection waits for another process (a command beside the daemon) to finish its write.
BUSY_TIMEOUT_MS = 30_000

READERS = 4


@dataclass(slots=True)
class _Write:
    work: Callable[[Connection], Any]
    outcome: asyncio.Future[Any]


class Database:
    """One program's database. Made by `open_database`.

    SQLite runs in threads, a whole transaction to a thread: a driver that hops between threads for
    each statement costs nine times the statement (docs/adr/0002).
    """

    def __init__(self, reader: Engine, writer: Engine) -> None:
        self._reader = reader
        self._writer = writer
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="database-read")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="database-write")
        self._waiting: asyncio.Queue[_Write] = asyncio.Queue()
        self._committing: asyncio.Task[None] | None = None

    async def read(self, question: Callable[[Connection], T]) -> T:
        """The answer of `question`, asked in one snapshot; what it writes is rolled back."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._ask, question)

    def _ask(self, question: Callable[[Connection], T]) -> T:
        with _driver_errors(), self._reader.connect() as connection:
            return question(connection)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction and return its answer once that is committed and synced.

        `work` may run more than once (when a neighbour in its group fails, each is run again alone), so
        it has no effects but its statements. If it raises, nothing of it is written and the error comes
        here. A caller that is cancelled while it waits does not stop the work.
        """
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Write(work, outcome))
        return await asyncio.shield(outcome)

    async def _commit_groups(self) -> None:
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            await self._commit(group)
            for _ in group:
                self._waiting.task_done()

    async def _commit(self, group: Sequence[_Write]) -> None:
        try:
            answers = await self._transaction([write.work for write in group])
        except Exception as error:  # noqa: BLE001 - every error belongs to a caller; the loop must outlive it
            if len(group) > 1:
                for write in group:
                    await self._commit([write])
            elif not group[0].outcome.done():
                group[0].outcome.set_exception(error)
                # The caller may be gone; its error is not to be reported as never retrieved.
                group[0].outcome.exception()
            return
        for write, answer in zip(group, answers, strict=True):
            if not write.outcome.done():
                write.outcome.set_result(answer)

    async def _transaction(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._commit_together, works)

    def _commit_together(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        with _driver_errors(), self._writer.connect() as connection:
            answers = [work(connection) for work in works]
            connection.commit()
            return answers

    async def __aenter__(self) -> Self:
        self._committing = asyncio.create_task(self._commit_groups(), name="database.commits")
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._waiting.join()
        if self._committing is not None:
            self._committing.cancel()
            await asyncio.gather(self._committing, return_exceptions=True)
        for executor, engine in ((self._reading, self._reader), (self._writing, self._writer)):
            await asyncio.to_thread(executor.shutdown)
            engine.dispose()


@contextlib.asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open (or create, 0600) the SQLite database at `path`; on leaving, waiting writes end first."""
    make_private_folder(path.parent)
    with storage_errors(path):
        path.touch(mode=PRIVATE, exist_ok=True)
    reader = _sqlite_engine(path, connections=READERS, begin="BEGIN")
    writer = _sqlite_engine(path, connections=1, begin="BEGIN IMMEDIATE")
    async with Database(reader, writer) as database:
        yield database


def _sqlite_engine(path: Path, *, connections: int, begin: str) -> Engine:
    url = sqlalchemy.URL.create("sqlite", database=str(path))
    engine = sqlalchemy.create_engine(
        url, poolclass=QueuePool, pool_size=connections, max_overflow=0, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver's own transaction control would begin late and without IMMEDIATE.
        connection.isolation_level = None
        # busy_timeout first: two processes that open a new database at once both switch it to WAL.
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextlib.contextmanager
def _driver_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise _translated(error) from error


def _translated(error: DBAPIError) -> CongvanError:
    name = getattr(error.orig, "sqlite_errorname", None)
    text = f"{error.orig} ({name})" if name else str(error.orig)
    if "disk is full" in text or "disk I/O error" in text:
        return Unavailable(
            "storage-full",
            f"The database cannot be written: {text}.",
            mend="Free space on its disk; work goes on by itself.",
        )
    if "locked" in text or "busy" in text:
        return Unavailable("database-busy", f"The database is held by another process: {text}.", mend="Try again.")
    return Unavailable(
        "database-failed",
        f"The database failed: {text}.",
        mend="See the log; `congvan hub migrate` or `node migrate` mends an old schema.",
    )
