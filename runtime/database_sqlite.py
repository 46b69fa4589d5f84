"""The database in a file: SQLite, a whole transaction to a thread (docs/adr/0002)."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from runtime.files import PRIVATE, make_private_folder, storage_errors
from runtime.grouped_writes import Database, DatabaseFailed, Work
from schemas.errors import CongvanError, Unavailable

T = TypeVar("T")

#: How long a connection waits for another process (a command beside the daemon) to finish its write.
BUSY_TIMEOUT_MS: Final = 30_000

READERS: Final = 4


class SqliteDatabase(Database):
    """The file at `path`, made (0600) if it is not there.

    A driver that hops between threads for each statement costs nine times the statement: here a transaction hops once.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        make_private_folder(path.parent)
        with storage_errors(path):
            path.touch(mode=PRIVATE, exist_ok=True)
        self._reader = _engine(path, connections=READERS, begin="BEGIN")
        self._writer = _engine(path, connections=1, begin="BEGIN IMMEDIATE")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="database-read")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="database-write")
        self._glancing = _engine(path, connections=1, begin="BEGIN", busy_timeout_ms=0)
        self._at_hand: Connection | None = None

    async def read(self, question: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._ask, question)

    def _ask(self, question: Callable[[Connection], T]) -> T:
        with driver_errors(), self._reader.connect() as connection:
            return question(connection)

    async def glance(self, question: Callable[[Connection], T]) -> T:
        try:
            return self._glanced(question)
        except Unavailable as error:
            if error.code != "database-busy":
                raise
        # Another process holds the file against readers too: a thread waits for that, not the event loop.
        return await self.read(question)

    def _glanced(self, question: Callable[[Connection], T]) -> T:
        with driver_errors():
            if self._at_hand is None:
                self._at_hand = self._glancing.connect()
            try:
                return question(self._at_hand)
            finally:
                # The snapshot ends: the next question sees what was written meanwhile.
                self._at_hand.rollback()

    async def exclusively(self, work: Callable[[Connection], T]) -> T:
        # BEGIN IMMEDIATE: no two writes overlap anyway.
        return await self.write(work)

    @contextlib.asynccontextmanager
    async def hold(self, lock: str) -> AsyncIterator[asyncio.Event | None]:  # noqa: ARG002 - see below
        # A file has one program that serves (runtime.locks); commands beside it hold nothing.
        yield asyncio.Event()

    async def now(self) -> datetime | None:
        return None

    async def _transaction(self, works: Sequence[Work], durable: bool) -> list[Any]:
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._commit_together, works, durable)

    def _commit_together(self, works: Sequence[Work], durable: bool) -> list[Any]:
        with driver_errors(), self._writer.connect() as connection, _synced(connection, durable):
            answers = [work(connection) for work in works]
            connection.commit()
            return answers

    async def _close(self) -> None:
        if self._at_hand is not None:
            self._at_hand.close()
        self._glancing.dispose()
        for executor, engine in ((self._reading, self._reader), (self._writing, self._writer)):
            await asyncio.to_thread(executor.shutdown)
            engine.dispose()


def _engine(path: Path, *, connections: int, begin: str, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Engine:
    url = sqlalchemy.URL.create("sqlite", database=str(path))
    engine = sqlalchemy.create_engine(
        url, poolclass=QueuePool, pool_size=connections, max_overflow=0, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver's own transaction control would begin late and without IMMEDIATE.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={busy_timeout_ms}").close()
        _switch_to_wal(connection, busy_timeout_ms)
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        # Of the driver itself: as a statement of SQLAlchemy it would cost as much as the question behind it.
        _driver_of(connection).execute(begin).close()

    return engine


@contextlib.contextmanager
def _synced(connection: Connection, durable: bool) -> Iterator[None]:
    """Inside, commits wait for the disk, or leave that to the next one that does: its sync covers the log before it."""
    if durable:
        yield
        return
    driver = _driver_of(connection)
    driver.execute("PRAGMA synchronous=NORMAL").close()
    try:
        yield
    finally:
        # SQLite takes no other setting inside a transaction, without a word: it has to be over.
        connection.rollback()
        driver.execute("PRAGMA synchronous=FULL").close()


def _driver_of(connection: Connection) -> sqlite3.Connection:
    driver: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    return driver


@contextlib.contextmanager
def others_kept_out(path: Path) -> Iterator[Connection]:
    """The database at `path` in one transaction, beside which nobody else writes; what it writes is forgotten."""
    engine = _engine(path, connections=1, begin="BEGIN IMMEDIATE")
    try:
        with driver_errors(), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _switch_to_wal(connection: Any, busy_timeout_ms: int) -> None:
    """Two that open a new database at once both switch it to WAL, and for that SQLite does not always wait itself."""
    ends_at = time.monotonic() + busy_timeout_ms / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends_at:
                raise
            time.sleep(0.01)
        else:
            return


@contextlib.contextmanager
def driver_errors() -> Iterator[None]:
    """What SQLite's driver raises within, as errors of ours; a broken constraint as it is."""
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
    return DatabaseFailed(
        "database-failed",
        f"The database failed: {text}.",
        mend="See the log; `congvan hub migrate` or `node migrate` mends an old schema.",
    )
