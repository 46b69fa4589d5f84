"""Exchanges linked to a broker, as processes of one hub are: each with services of its own, on one database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import aio_pika

from hub.linking import BrokerLink, broker_address, link_to_broker
from hub.settings_broker import BrokerSettings
from hub.usecases.outbox import WorkTerms
from hub.workers.fanout import fanout_service
from runtime.lifecycle import Service
from tests.hub.exchange.conftest import World
from tests.services.rabbitmq import RabbitMQ

#: Redeliveries follow each other fast.
TERMS = WorkTerms(quiet=timedelta(seconds=15), dead=timedelta(hours=1), pause=0.01, look=0.5)

QUEUES = ("congvan.fanout", "congvan.push", "congvan.dead", "congvan.dead.alerts")


@dataclass(frozen=True, slots=True)
class Linked:
    """A world and its link."""

    world: World
    link: BrokerLink

    async def working(self, *, is_working: bool = True) -> None:
        """Wait until the link works, or no longer does."""
        await until(lambda: self.link.broker.is_working == is_working)


@contextlib.asynccontextmanager
async def linked(
    world: World, rabbitmq: RabbitMQ, more: Callable[[BrokerLink], dict[str, Service]] = lambda _: {}
) -> AsyncIterator[Linked]:
    """Link `world`, which has an outbox, and run what a process of the hub runs for it; `more` adds services."""
    settings = BrokerSettings.model_validate(
        {
            "url": rabbitmq.url,
            "password_file": str(rabbitmq.password_file),
            "confirm_seconds": 5,
            "longest_wait_seconds": 1,
        }
    )
    link = link_to_broker(
        broker_address(settings, Path("/")),
        settings,
        world.database,
        world.exchange,
        world.exchange.push.meters,
        clock=world.clock,
        chance=Random(3),
        terms=TERMS,
    )
    left = fanout_service(
        world.exchange.fanout, world.exchange.wakeups, left_to_others=link.hints.are_flowing, recheck=0.2
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as services:
        for service in {**link.services, "fanout": left, **more(link)}.values():
            services.create_task(service(stop))
        one = Linked(world, link)
        try:
            await one.working()
            yield one
        finally:
            stop.set()
            world.exchange.wakeups.wake_all()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so."""

    async def asked() -> bool:
        return holds()

    await until_told(asked)


async def until_told(ask: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the answer is yes."""
    async with asyncio.timeout(60):
        while not await ask():  # noqa: ASYNC110 - what is waited for is at the broker or in the database
            await asyncio.sleep(0.02)


async def until_count(world: World, table: str, number: int) -> None:
    """Wait until a table has so many rows."""

    async def has_so_many() -> bool:
        return await world.count(table) == number

    await until_told(has_so_many)


async def until_held(rabbitmq: RabbitMQ, queue: str, number: int) -> None:
    """Wait until so many messages wait in a queue."""
    async with channel_to(rabbitmq) as channel:

        async def holds() -> bool:
            found = await channel.declare_queue(queue, passive=True)
            return found.declaration_result.message_count == number

        await until_told(holds)


@contextlib.asynccontextmanager
async def channel_to(rabbitmq: RabbitMQ) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel of an operator who looks at the broker."""
    connection = await aio_pika.connect(rabbitmq.full_url)
    async with connection, connection.channel() as channel:
        yield channel


async def forget(rabbitmq: RabbitMQ) -> None:
    """Take away what a test before left at the broker."""
    async with channel_to(rabbitmq) as channel:
        for queue in QUEUES:
            await channel.queue_delete(queue)
