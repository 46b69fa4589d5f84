"""A link to RabbitMQ that comes back by itself: everything it stands on is declared anew at each connection.

Nothing here is the truth of anything. What is published durably is confirmed by the broker or raises; what is merely
announced may be lost; what arrives is a hint, acknowledged when its handler has said what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from random import Random
from typing import Final, TypeAlias

import aio_pika
import structlog
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    DeliveryMode,
    ExchangeType,
)
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError
from pamqp.common import FieldTable

from runtime.backoff import backoff
from runtime.broker_address import BrokerAddress
from schemas.errors import Unavailable

log = structlog.get_logger()

#: What a broker that is away, or stands in the way, fails with.
_FAULTS: Final = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, RuntimeError)
#: Seconds without a sign of the broker after which the connection counts as broken.
_HEARTBEAT: Final = 10
#: Seconds that a connection, a declaration or a close may take.
_PATIENCE: Final = 15.0
_FIRST_WAIT: Final = 0.5
#: Seconds for which a broker that did not take a message is not counted on.
_STUCK: Final = 30.0
#: What a queue of announcements holds at most, of a process that does not come to read them.
_ANNOUNCEMENTS: Final = 10_000
_ANNOUNCEMENT_LIFE_MS: Final = 60_000
#: Bytes of a hint or an announcement at most: it names a row or a key. What is longer is none of ours, and whatever
#: stands in it, as nesting that would exhaust a reader of JSON, nobody has to look at.
_LONGEST: Final = 256
#: Dead letters that are kept for the operator to look at, the newest.
_DEAD_LETTERS: Final = 10_000


class Verdict(Enum):
    """What becomes of a hint: it is dropped, offered again (a redelivery, which is counted), or a dead letter."""

    DONE = "done"
    AGAIN = "again"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Hint:
    """A message from a work queue: `redeliveries` is how often it was handed out before and not seen through."""

    topic: str
    body: bytes
    redeliveries: int


Handler: TypeAlias = Callable[[Hint], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What is declared at the broker.

    `announcements`: a topic exchange from which each process has a queue of its own, that ends with it. `work`: topic
    exchanges with a quorum queue of the same name each, and who works on it. What was redelivered more than
    `redeliveries` times goes to the exchange `dead` and from there to a queue of that name, which keeps it for people,
    and once to `bury`.
    """

    announcements: str
    work: Mapping[str, Handler]
    dead: str
    bury: Handler
    redeliveries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTerms:
    """`prefetch` hints of each queue are under way at a time. `confirm`: seconds to wait for a confirm; `longest`:
    seconds between two tries to connect, at most."""

    prefetch: int
    confirm: float
    longest: float


@dataclass(slots=True)
class _Session:
    """One connection's channels, while it lasts."""

    work: dict[str, AbstractExchange]
    announcements: AbstractExchange
    publishing: AbstractConnection
    running: set[asyncio.Task[None]] = field(default_factory=set)


class Broker:
    """The link. `run` is the service that keeps it; the rest works while it `is_working` and says so otherwise."""

    def __init__(
        self,
        address: BrokerAddress,
        topology: Topology,
        terms: LinkTerms,
        *,
        name: str,
        heard: Callable[[bytes], None],
        linked: Callable[[], None],
        chance: Random,
    ) -> None:
        """`name` is this process's; `heard` gets the announcements of others; `linked` is told of each connection."""
        self._address = address
        self._topology = topology
        self._terms = terms
        self._name = name
        self._heard = heard
        self._linked = linked
        self._chance = chance
        self._session: _Session | None = None
        self._fault: str | None = "It was not reached yet."
        self._stuck_until = 0.0

    @property
    def is_linked(self) -> bool:
        """True while it is connected, whether or not it takes anything."""
        return self._session is not None

    @property
    def is_working(self) -> bool:
        """True while it is connected, and has not failed of late to take what was published."""
        return self._session is not None and time.monotonic() >= self._stuck_until

    async def trial(self) -> None:
        """A part of readiness: raises `broker-away` while it does not work."""
        if not self.is_working:
            raise Unavailable(
                "broker-away",
                f"{self._address}: {self._fault}",
                mend="Nothing is lost: work goes on from the database, slower. See that RabbitMQ runs.",
            )

    async def publish(self, exchange: str, topic: str, body: bytes) -> None:
        """Put a durable message into a work exchange; returns when the broker has it on its disks, in a queue.

        Raises `broker-away` if it is not connected, or does not confirm in time; `broker-refused` if it refuses the
        message, or has no queue for it.
        """
        session = self._session
        if session is None:
            raise Unavailable("broker-away", f"The broker is away: {self._fault}")
        message = aio_pika.Message(body, delivery_mode=DeliveryMode.PERSISTENT, content_type="application/json")
        try:
            async with asyncio.timeout(self._terms.confirm):
                await session.work[exchange].publish(message, topic, mandatory=True)
        except DeliveryError as error:
            self._note_stuck(f"It takes nothing for {exchange}: {error!r}.")
            raise Unavailable("broker-refused", f"The broker did not take the message: {error!r}.") from error
        except _FAULTS as error:
            self._note_stuck(f"It did not confirm a message: {error!r}.")
            raise Unavailable("broker-away", f"The broker did not confirm: {error!r}.") from error
        if self._stuck_until:
            self._stuck_until = 0.0
            log.info("broker.confirms", broker=str(self._address))

    async def announce(self, topic: str, body: bytes) -> None:
        """Tell the other processes something; it is lost if the broker is away, or they are."""
        session = self._session
        if session is None:
            return
        message = aio_pika.Message(body, delivery_mode=DeliveryMode.NOT_PERSISTENT, app_id=self._name)
        with contextlib.suppress(*_FAULTS):
            async with asyncio.timeout(self._terms.confirm):
                await session.announcements.publish(message, topic, mandatory=False)

    async def waiting(self, queue: str) -> int:
        """How many messages wait in a work queue, those under way not counted. Raises `broker-away`."""
        session = self._session
        if session is None:
            raise Unavailable("broker-away", f"The broker is away: {self._fault}")
        try:
            async with asyncio.timeout(_PATIENCE), session.publishing.channel() as channel:
                declared = await channel.declare_queue(queue, passive=True)
                return declared.declaration_result.message_count or 0
        except _FAULTS as error:
            # Somebody deleted it: with a new connection all is declared anew.
            await session.publishing.close()
            raise Unavailable("broker-away", f"The queue {queue} cannot be asked: {error!r}.") from error

    async def run(self, stop: asyncio.Event) -> None:
        """The service: connect, declare, work until the connection ends; again, until `stop` is set."""
        failures = 0
        while not stop.is_set():
            try:
                async with self._connected() as (session, ended):
                    failures, self._fault, self._session, self._stuck_until = 0, None, session, 0.0
                    log.info("broker.linked", broker=str(self._address))
                    self._linked()
                    await _first(stop, ended)
                    self._session = None
                    if not stop.is_set():
                        self._fault = "The connection ended."
                        log.warning("broker.lost", broker=str(self._address))
            except _FAULTS as error:
                failures += 1
                fault = f"{type(error).__name__}: {error}"
                if fault != self._fault:
                    log.warning("broker.away", broker=str(self._address), reason=fault)
                self._fault = fault
            finally:
                self._session = None
            wait = backoff(failures, first=_FIRST_WAIT, longest=self._terms.longest, jitter=0.2, chance=self._chance)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await stop.wait()

    def _note_stuck(self, fault: str) -> None:
        self._fault = fault
        if self.is_working:
            log.warning("broker.stuck", broker=str(self._address), reason=fault)
        self._stuck_until = time.monotonic() + _STUCK

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[_Session, asyncio.Event]]:
        """A session, and an event that says that something of it has ended."""
        ended = asyncio.Event()
        async with AsyncExitStack() as stack:
            # Two connections: a broker that is short of memory stops reading from those that publish, and
            # acknowledgements are to come through nevertheless.
            publishing = await self._connect(stack, "publishes", ended)
            consuming = await self._connect(stack, "consumes", ended)
            async with asyncio.timeout(_PATIENCE):
                confirmed = await _channel(publishing, ended, confirmed=True)
                unconfirmed = await _channel(publishing, ended, confirmed=False)
                work = await self._declare_work(confirmed)
                session = _Session(
                    work,
                    await unconfirmed.declare_exchange(self._topology.announcements, ExchangeType.TOPIC, durable=True),
                    publishing,
                )
                stack.push_async_callback(_finish, session)
                await self._listen(await _channel(consuming, ended, confirmed=False))
                for queue, handler in {**self._topology.work, _burials(self._topology): self._topology.bury}.items():
                    channel = await _channel(consuming, ended, confirmed=False)
                    await channel.set_qos(prefetch_count=self._terms.prefetch)
                    source = await channel.get_queue(queue, ensure=False)
                    await source.consume(partial(self._handle, session, handler))
            yield session, ended

    async def _connect(self, stack: AsyncExitStack, what: str, ended: asyncio.Event) -> AbstractConnection:
        address = self._address
        connection = await aio_pika.connect(
            host=address.host,
            port=address.port,
            login=address.url.user or "",
            password=address.password,
            virtualhost=address.vhost,
            ssl=address.tls is not None,
            ssl_context=address.tls,
            timeout=_PATIENCE,
            client_properties={"connection_name": f"{self._name} {what}"},
            heartbeat=str(_HEARTBEAT),
        )
        stack.push_async_callback(_close, connection)
        connection.close_callbacks.add(lambda *_: ended.set())
        return connection

    async def _declare_work(self, channel: AbstractChannel) -> dict[str, AbstractExchange]:
        topology = self._topology
        dead = await channel.declare_exchange(topology.dead, ExchangeType.TOPIC, durable=True)
        quorum: FieldTable = {"x-queue-type": "quorum"}
        kept = await channel.declare_queue(
            topology.dead, durable=True, arguments={**quorum, "x-max-length": _DEAD_LETTERS}
        )
        await kept.bind(dead, "#")
        await (await channel.declare_queue(_burials(topology), durable=True, arguments=quorum)).bind(dead, "#")
        exchanges = {}
        for name in topology.work:
            exchanges[name] = await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)
            arguments: FieldTable = {
                **quorum,
                "x-delivery-limit": topology.redeliveries,
                "x-dead-letter-exchange": topology.dead,
            }
            await (await channel.declare_queue(name, durable=True, arguments=arguments)).bind(exchanges[name], "#")
        return exchanges

    async def _listen(self, channel: AbstractChannel) -> None:
        exchange = await channel.declare_exchange(self._topology.announcements, ExchangeType.TOPIC, durable=True)
        own = await channel.declare_queue(
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": _ANNOUNCEMENTS, "x-message-ttl": _ANNOUNCEMENT_LIFE_MS},
        )
        await own.bind(exchange, "#")
        await own.consume(self._hear, no_ack=True)

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        if message.app_id != self._name and message.body_size <= _LONGEST:
            self._heard(message.body)

    async def _handle(self, session: _Session, handler: Handler, message: AbstractIncomingMessage) -> None:
        task = asyncio.current_task()
        if task is not None:
            session.running.add(task)
            task.add_done_callback(session.running.discard)
        counted = message.headers.get("x-delivery-count", 0)
        hint = Hint(message.routing_key or "", message.body, counted if isinstance(counted, int) else 0)
        verdict = await _verdict(handler, hint)
        # The connection may have ended meanwhile: then the broker offers the hint again by itself.
        with contextlib.suppress(*_FAULTS):
            match verdict:
                case Verdict.DONE:
                    await message.ack()
                case Verdict.AGAIN:
                    await message.nack(requeue=True)
                case Verdict.DEAD:
                    await message.reject(requeue=False)


async def _verdict(handler: Handler, hint: Hint) -> Verdict:
    """What `handler` makes of a hint. One that fails unforeseen must not keep its hint: it would take a place for good,
    and a few of them all places."""
    if len(hint.body) > _LONGEST:
        return Verdict.DEAD
    try:
        return await handler(hint)
    except Exception:
        log.exception("hint.failed", topic=hint.topic, redeliveries=hint.redeliveries)
        return Verdict.DEAD


def _burials(topology: Topology) -> str:
    """The queue from which dead letters are told of, beside the one that keeps them."""
    return f"{topology.dead}.alerts"


async def _channel(connection: AbstractConnection, ended: asyncio.Event, *, confirmed: bool) -> AbstractChannel:
    channel = connection.channel(publisher_confirms=confirmed, on_return_raises=confirmed)
    await channel.initialize()
    channel.close_callbacks.add(lambda *_: ended.set())
    return channel


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of `events` is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


async def _finish(session: _Session) -> None:
    """Hints under way are cut off: the broker offers them again, and the database knows how far they came."""
    for task in list(session.running):
        task.cancel()
    if session.running:
        await asyncio.wait(list(session.running), timeout=_PATIENCE)


async def _close(connection: AbstractConnection) -> None:
    with contextlib.suppress(*_FAULTS):
        async with asyncio.timeout(_PATIENCE):
            await connection.close()
