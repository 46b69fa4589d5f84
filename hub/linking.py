"""The hub's part in a broker, put together: what is announced there, who works on it, and what watches over it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from hub.settings_broker import BrokerSettings
from hub.store.work import WorkKind
from hub.usecases.carrying import WAKEUPS_EXCHANGE, CarriedWakeups
from hub.usecases.exchange import Exchange
from hub.usecases.meters import Meters
from hub.usecases.outbox import WORK_EXCHANGES, Outbox, WorkTerms
from hub.usecases.waking import WORK
from hub.usecases.workshop import Workshop
from hub.workers.broker import carrying_service, outbox_service
from hub.workers.push import Pushers, PushHints
from runtime.broker import Broker, Hint, LinkTerms, Topology, Verdict
from runtime.broker_address import BrokerAddress
from runtime.clock import Clock
from runtime.database import Database
from runtime.lifecycle import Service
from runtime.passphrases import read_secret
from runtime.wakeups import EVERYTHING, Wakeups

#: Where dead letters go: the name of an exchange and of the queue that keeps them.
DEAD_LETTERS: Final = "congvan.dead"
#: So often a hint is offered again. It is an argument of the queues: another number needs queues of other names.
REDELIVERIES: Final = 5


@dataclass(frozen=True, slots=True)
class BrokerLink:
    """An exchange's link to the broker: the broker, what shares pushes by it, and the services that it needs."""

    broker: Broker
    hints: PushHints
    services: dict[str, Service]


def broker_address(settings: BrokerSettings, folder: Path) -> BrokerAddress:
    """The broker that `settings`, of the hub in `folder`, name; raises as `read_secret` and `BrokerAddress.of` do."""
    password = read_secret(folder / settings.password_file, least=1) if settings.password_file else b""
    return BrokerAddress.of(settings.url, password, folder / settings.ca_file if settings.ca_file else None)


def link_to_broker(
    address: BrokerAddress,
    settings: BrokerSettings,
    database: Database,
    exchange: Exchange,
    meters: Meters,
    *,
    clock: Clock,
    chance: Random,
    terms: WorkTerms = WorkTerms(),  # noqa: B008 - frozen
) -> BrokerLink:
    """Let `exchange`, made with an outbox, share its work and its wake-ups by the broker at `address`."""
    linked = asyncio.Event()
    pushers = Pushers()
    workshop = Workshop(
        database,
        exchange.fanout,
        pushers.push,
        exchange.alerts,
        meters,
        clock=clock,
        furthest=exchange.settings.mailbox.furthest,
        terms=terms,
    )
    carried = CarriedWakeups(exchange.wakeups, database, meters)
    # Named by the machine and the process, for whoever looks at the broker's connections.
    name = f"congvan-hub {socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
    broker = Broker(
        address,
        _topology(workshop),
        LinkTerms(prefetch=settings.prefetch, confirm=settings.confirm_seconds, longest=settings.longest_wait_seconds),
        name=name,
        heard=carried.hear,
        linked=partial(_note_linked, linked, exchange.wakeups),
        chance=chance,
    )
    outbox = Outbox(database, broker, exchange.alerts, meters, clock=clock, settings=exchange.settings, terms=terms)
    exchange.wakeups.carry_with(lambda key: carried.carry(key) if broker.is_working else None)
    return BrokerLink(
        broker,
        PushHints(pushers, lambda: broker.is_working, _hurrying(outbox, exchange.wakeups)),
        {
            "broker": broker.run,
            "outbox": outbox_service(
                outbox, exchange.wakeups, linked=linked, is_linked=lambda: broker.is_linked, look=terms.look
            ),
            "wakeups": carrying_service(carried, broker.announce),
        },
    )


def _topology(workshop: Workshop) -> Topology:
    def works_on(kind: WorkKind) -> Callable[[Hint], Awaitable[Verdict]]:
        return partial(workshop.work_on, kind)

    return Topology(
        announcements=WAKEUPS_EXCHANGE,
        work={exchange: works_on(kind) for kind, exchange in WORK_EXCHANGES.items()},
        dead=DEAD_LETTERS,
        bury=workshop.bury,
        redeliveries=REDELIVERIES,
    )


def _note_linked(linked: asyncio.Event, wakeups: Wakeups) -> None:
    """While the broker was away, wake-ups of others were lost: whoever waits looks about."""
    linked.set()
    wakeups.wake_here(EVERYTHING)


def _hurrying(outbox: Outbox, wakeups: Wakeups) -> Callable[[str], Awaitable[None]]:
    async def hurry(connection: str) -> None:
        if await outbox.hurry(connection):
            wakeups.wake_here(WORK)

    return hurry
