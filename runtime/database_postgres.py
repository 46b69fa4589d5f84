"""The database on a PostgreSQL server: asyncpg, SERIALIZABLE writes in groups, read-only snapshots (docs/adr/0007).

Several processes work in it at once. A write that collides with another one is run again; one whose server goes away is
`Unavailable`, and later ones find the server again by themselves. When the answer to a commit is lost, the server is
asked what became of that transaction, so that nothing is written twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from types import MappingProxyType
from typing import Any, Final, TypeVar

import sqlalchemy
import structlog
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from runtime.grouped_writes import Database, DatabaseAway, Work
from runtime.postgres_address import PostgresAddress
from runtime.postgres_errors import (
    DRIVER_ERRORS,
    is_certain_conflict,
    is_conflict,
    is_locked_out,
    is_lost,
    raise_translated,
)
from schemas.errors import Unavailable

log = structlog.get_logger()

T = TypeVar("T")

#: Transactions that one process has under way. What waits meanwhile becomes one group; a second transaction beside it
#: would collide with the first, for in small tables a plan reads, and thereby locks, the table (docs/adr/0007).
WRITERS: Final = 1

#: How often a write is run that collides with others, and how often a group, before its members are run one by one.
_ATTEMPTS: Final = 16
_GROUP_ATTEMPTS: Final = 3
#: How often a question is asked that meets a change of the schema: each time the server takes a second to say so.
_READ_ATTEMPTS: Final = 5
#: How often a key that is there already is taken for a collision.
_DUPLICATE_ATTEMPTS: Final = 3
#: Waits between attempts, in seconds: the first, doubling to the longest, each spread over its whole length.
_FIRST_WAIT: Final = 0.01
_LONGEST_WAIT: Final = 0.5

#: Seconds that a connection may take to come about, a statement to be answered, and a lost commit to become known.
_CONNECT_SECONDS: Final = 10.0
_WRITE_SECONDS: Final = 60.0
_READ_SECONDS: Final = 600.0
_OUTCOME_SECONDS: Final = 15.0
#: Seconds that a commit may take: less than a statement, at whose end the driver would have the server cancel it. A
#: commit that waits for a synchronous standby is not undone by that: it is made without the standby, and seen by all.
_COMMIT_SECONDS: Final = 50.0

#: Seconds that the server may leave the connection of a held lock without an answer, and between two looks at it.
_LOCK_SECONDS: Final = 10.0
_LOCK_WATCHED_EVERY: Final = 2.0
#: Seconds after which the server gives back the lock of a holder that hangs, or whose machine or network is gone: the
#: end of such a connection it would hear of in two hours (TCP's own patience). A holder that is cut off, and runs,
#: has given up by then.
_LOCK_SILENCE: Final = 15

#: Statements that a connection keeps prepared. The programs have some two hundred.
_PREPARED: Final = 500

#: Seconds that a change of the schema may wait for a table, and until it is tried again. Whoever wants the table after
#: it waits behind it: a dump that reads for hours would stop the traffic beside it for as long.
_TABLE_SECONDS: Final = 2
_TABLE_AGAIN: Final = 10.0

#: Any number: the lock that `exclusively` holds, among those of the same database.
_EXCLUSIVE_LOCK: Final = 0x436F6E6776616E

_OLDEST: Final = 140000

_CHECK: Final = sqlalchemy.text(
    "SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync,"
    " current_setting('full_page_writes') AS full_page_writes,"
    " current_setting('synchronous_commit') AS synchronous_commit,"
    " current_setting('synchronous_standby_names') AS standbys,"
    " (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding"
)
_NUMBER_OF_TRANSACTION: Final = sqlalchemy.text("SELECT pg_current_xact_id_if_assigned()::text")
_STATUS_OF_TRANSACTION: Final = sqlalchemy.text("SELECT pg_xact_status(CAST(CAST(:number AS text) AS xid8))")
_NOT_AWAITED: Final = sqlalchemy.text("SET LOCAL synchronous_commit = off")
_TRY_LOCK: Final = sqlalchemy.text("SELECT pg_try_advisory_lock(:number)")
_NOW: Final = sqlalchemy.text("SELECT clock_timestamp()")
#: The server shows a lock's number as two of 32 bits each.
_IS_HELD: Final = sqlalchemy.text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid::bigint = CAST(:high AS bigint) AND objid::bigint = CAST(:low AS bigint))"
)
_ALIVE: Final = sqlalchemy.text("SELECT 1")
_LOCK: Final = sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_EXCLUSIVE_LOCK})")


@dataclass(frozen=True, slots=True)
class _Answers:
    values: list[Any]
    #: What the server calls the transaction; None if nothing was written in it.
    number: str | None


class PostgresDatabase(Database):
    """The database at `address`. Nothing is connected before it is needed.

    `chance` spreads the waits after collisions.
    """

    def __init__(self, address: PostgresAddress, chance: Random | None = None) -> None:
        super().__init__(WRITERS)
        self._address = address
        self._chance = chance or Random()
        # Twice as many connections: what became of a lost commit is asked through another one.
        self._writer = _engine(address, 2 * WRITERS, _WRITE_SECONDS).execution_options(isolation_level="SERIALIZABLE")
        self._reader = _engine(address, address.readers, _READ_SECONDS).execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._under_way: set[asyncio.Task[Any]] = set()

    async def check(self) -> None:
        """See that the server can be reached and relied on.

        Raises `database-not-durable` if it answers before what it answers is on its disk, `database-too-old`,
        `database-encoding`, and what connecting raises (`database-unreachable`, `database-password`, …).
        """
        row = await self.read(lambda connection: connection.execute(_CHECK).one())
        if row.version < _OLDEST:
            raise Unavailable(
                "database-too-old",
                f"{self._address} is served by PostgreSQL {row.version // 10000}.",
                mend=f"Upgrade the server to {_OLDEST // 10000} or newer.",
            )
        if row.encoding != "UTF8":
            raise Unavailable(
                "database-encoding",
                f"{self._address} keeps its texts as {row.encoding}.",
                mend="Make the database with `createdb --encoding UTF8 --template template0`.",
            )
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            if getattr(row, setting) == "off":
                raise Unavailable(
                    "database-not-durable",
                    f"The server of {self._address} has {setting} off: a power cut would lose what was acknowledged.",
                    mend=f"Set {setting} = on in postgresql.conf (or for the user or database) and reload the server.",
                )
        if row.standbys and row.synchronous_commit in ("local", "remote_write"):
            log.warning("database.standbys_not_awaited", synchronous_commit=row.synchronous_commit)

    async def read(self, question: Callable[[Connection], T]) -> T:
        return await self._kept(self._ask(question))

    async def _ask(self, question: Callable[[Connection], T]) -> T:
        deadlocks = losses = 0
        while True:
            try:
                async with self._reader.connect() as connection:
                    return await connection.run_sync(question)
            except DRIVER_ERRORS as error:
                # The pool's connections may be of a server that was restarted since; a new one tells.
                losses += is_lost(error)
                # With a change of the schema, which wants one table after the other as this does.
                deadlocks += is_certain_conflict(error)
                if losses > 1 or deadlocks >= _READ_ATTEMPTS or not (is_lost(error) or is_certain_conflict(error)):
                    raise_translated(error, self._address)

    async def exclusively(self, work: Callable[[Connection], T]) -> T:
        return await self._kept(self._exclusively(work))

    async def _exclusively(self, work: Callable[[Connection], T]) -> T:
        # READ COMMITTED: what is read after the lock was waited for must be what its last holder left.
        engine = _engine(self._address, 1, None).execution_options(isolation_level="READ COMMITTED")
        patience = sqlalchemy.text(f"SET LOCAL lock_timeout = '{_TABLE_SECONDS}s'")
        try:
            while True:
                try:
                    async with engine.connect() as connection:
                        await connection.execute(_LOCK)
                        await connection.execute(patience)
                        answer = await connection.run_sync(work)
                        await connection.commit()
                        return answer
                except DRIVER_ERRORS as error:
                    if not is_locked_out(error) and not is_certain_conflict(error):
                        raise_translated(error, self._address)
                    log.warning("database.table_awaited", database=str(self._address), seconds=_TABLE_AGAIN)
                await asyncio.sleep(_TABLE_AGAIN)
        finally:
            await engine.dispose()

    @contextlib.asynccontextmanager
    async def hold(self, lock: str) -> AsyncIterator[asyncio.Event | None]:
        number = _number_of(lock)
        high_and_low = {"high": number >> 32 & 0xFFFFFFFF, "low": number & 0xFFFFFFFF}
        # Whoever waits for a lock asks again and again. A connection of its own, with what the server asks of each new
        # one, costs some 30 ms of the processor: it is made when there is something to be had.
        if await self.read(lambda connection: connection.execute(_IS_HELD, high_and_low).scalar_one()):
            yield None
            return
        # The server gives the lock back when this connection ends, however the process does, or falls silent.
        forgotten = {"idle_session_timeout": f"{_LOCK_SILENCE}s"}
        engine = _engine(self._address, 1, _LOCK_SECONDS, forgotten).execution_options(isolation_level="AUTOCOMMIT")
        try:
            connection, held = await self._kept(_locked(engine, number))
        except DRIVER_ERRORS as error:
            await engine.dispose()
            raise_translated(error, self._address)
        lost = asyncio.Event()
        watching = asyncio.create_task(_watch(connection, lost))
        try:
            yield lost if held else None
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            with contextlib.suppress(*DRIVER_ERRORS):
                await connection.close()
            await engine.dispose()

    async def now(self) -> datetime | None:
        instant: datetime = await self.read(lambda connection: connection.execute(_NOW).scalar_one())
        return instant

    async def _transaction(self, works: Sequence[Work], durable: bool) -> list[Any]:
        conflicts = losses = 0
        while True:
            try:
                return await self._commit_together(works, durable)
            except DRIVER_ERRORS as error:
                if is_lost(error):
                    losses += 1
                    if losses > 1:
                        raise_translated(error, self._address)
                elif is_conflict(error):
                    conflicts += 1
                    if conflicts >= _attempts(error, len(works)):
                        raise_translated(error, self._address)
                    wait = min(_FIRST_WAIT * 2.0**conflicts, _LONGEST_WAIT)
                    await asyncio.sleep(wait * self._chance.random())
                else:
                    raise_translated(error, self._address)

    async def _commit_together(self, works: Sequence[Work], durable: bool) -> list[Any]:
        def run(connection: Connection) -> _Answers:
            if not durable:
                connection.execute(_NOT_AWAITED)
            values = [work(connection) for work in works]
            return _Answers(values, connection.scalar(_NUMBER_OF_TRANSACTION))

        async with self._writer.connect() as connection:
            answers = await connection.run_sync(run)
            giving_up = asyncio.get_running_loop().call_later(_COMMIT_SECONDS, _leaving(connection))
            try:
                await connection.commit()
            except DRIVER_ERRORS as error:
                if answers.number is None or not is_lost(error) or not await self._was_committed(answers.number, error):
                    raise
            finally:
                giving_up.cancel()
        return answers.values

    async def _was_committed(self, number: str, lost: Exception) -> bool:
        """What became of a transaction whose commit was sent and not answered; waits for the server to come back.

        Raises `database-outcome-unknown` if it does not: then what was written may be there or not.
        """
        ends_at = asyncio.get_running_loop().time() + _OUTCOME_SECONDS
        while True:
            try:
                async with self._writer.connect() as connection:
                    status = await connection.scalar(_STATUS_OF_TRANSACTION, {"number": number})
            except DRIVER_ERRORS as error:
                if not is_lost(error):
                    raise
                status = None
            if status in ("committed", "aborted"):
                log.info("database.commit_settled", transaction=number, status=status)
                return bool(status == "committed")
            if asyncio.get_running_loop().time() > ends_at:
                raise DatabaseAway(
                    "database-outcome-unknown",
                    f"The connection to {self._address} was lost while it committed, and nobody says whether it did.",
                    mend="Do the same again: what was done already is found and is not done twice.",
                ) from lost
            await asyncio.sleep(0.05 + 0.1 * self._chance.random())

    async def _kept(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, also when the caller is cancelled: a connection is not given up half-way."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # The caller may be gone; its error is not to be reported as never retrieved.
            task.exception()

    async def _close(self) -> None:
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._writer.dispose()
        await self._reader.dispose()


def _leaving(connection: AsyncConnection) -> Callable[[], None]:
    """Ends a connection without a word to the server, which goes on with what it does."""
    assert connection.sync_connection is not None  # noqa: S101 - it is open
    driver: Any = connection.sync_connection.connection.driver_connection
    leave: Callable[[], None] = driver.terminate
    return leave


async def _locked(engine: AsyncEngine, number: int) -> tuple[AsyncConnection, bool]:
    connection = await engine.connect()
    try:
        return connection, bool(await connection.scalar(_TRY_LOCK, {"number": number}))
    except BaseException:
        await connection.close()
        raise


def _number_of(lock: str) -> int:
    """The number that stands for the name of a lock, in the 64 bits that the server has for it."""
    return int.from_bytes(hashlib.sha256(lock.encode()).digest()[:8], "big", signed=True)


async def _watch(connection: AsyncConnection, lost: asyncio.Event) -> None:
    """Set `lost` once the connection is."""
    try:
        while True:
            await asyncio.sleep(_LOCK_WATCHED_EVERY)
            await connection.execute(_ALIVE)
    except DRIVER_ERRORS as error:
        log.warning("database.lock_lost", error=str(error))
        lost.set()


def _attempts(error: Exception, works: int) -> int:
    if works > 1:
        return _GROUP_ATTEMPTS
    return _ATTEMPTS if is_certain_conflict(error) else _DUPLICATE_ATTEMPTS


def _engine(
    address: PostgresAddress, connections: int, seconds: float | None, session: Mapping[str, str] = MappingProxyType({})
) -> AsyncEngine:
    """Up to so many connections; a statement is answered within `seconds`. `session`: settings of the server's."""
    return create_async_engine(
        "postgresql+asyncpg://",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=connections,
        max_overflow=0,
        connect_args={
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "password": address.password,
            "database": address.database,
            "ssl": address.tls_context() or False,
            "timeout": _CONNECT_SECONDS,
            "command_timeout": seconds,
            "statement_cache_size": _PREPARED,
            "prepared_statement_cache_size": _PREPARED,
            "server_settings": {
                "application_name": "congvan",
                # Compiling a statement takes longer than running any of ours.
                "jit": "off",
                # A process that stands still holds its rows' locks no longer than this.
                "idle_in_transaction_session_timeout": "60s",
                **session,
            },
        },
    )
