"""The hub put together: each resource opened once, in order, and closed in the reverse."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge
from yarl import URL

from certs.signed_posts import LEAST_SECRET
from hub.foundation import Foundation, open_foundation
from hub.http.agencies import agency_routes
from hub.http.directory import directory_routes
from hub.http.enrolment import FailureLimit, enrolment_routes
from hub.http.exchange import exchange_routes
from hub.http.gauges import HubMetrics
from hub.http.health import operations_routes, public_health_routes
from hub.http.server import listening, operations_application, public_application
from hub.linking import BrokerLink, broker_address, link_to_broker
from hub.processes import Worker
from hub.settings import HubFolder, HubSettings, HubTable
from hub.store import state
from hub.store.schema import MIGRATIONS
from hub.usecases.authority import HubKeys, renew_expiring
from hub.usecases.directory import DirectoryRenewal
from hub.usecases.enrolment import Enrolment
from hub.usecases.exchange import Exchange
from hub.usecases.figures import FiguresOfNow
from hub.usecases.health import BROKER, CLOCK, expiring, is_needed, trial_of_clock, trials_of
from hub.usecases.meters import Meters
from hub.usecases.peers import PeerRegister
from hub.usecases.restored import NewEpoch, begin_epoch
from hub.usecases.webhook import Webhook, WebhookTerms
from hub.workers.directory_refresh import directory_refresh
from hub.workers.exchange import exchange_duties, exchange_services
from hub.workers.webhook import webhook_service
from runtime.addresses import Address
from runtime.agreed_clock import AgreedClock
from runtime.blob_settings import try_at_start
from runtime.clock import CertainClock, Clock, utc_now
from runtime.database import open_database
from runtime.leadership import led
from runtime.lifecycle import Service, run_services
from runtime.locks import exclusive
from runtime.migrations import upgrade
from runtime.passphrases import read_secret
from runtime.readiness import Readiness, Trial
from runtime.supervision import Supervisor
from runtime.wakeups import Wakeups, doorbell
from schemas.errors import Unavailable
from transport.loop_connector import LoopConnector

log = structlog.get_logger()

#: Seconds that services have to end after the HTTP server's own grace is over.
LAST_GRACE: Final = 5.0
#: Services that cannot start where something else listens: then there is no hub.
_LISTENERS: Final = frozenset({"http", "operations"})
#: At a start, certificates that have less than this left are renewed; the log warns of those that cannot be.
_SOON: Final = timedelta(days=30)


async def migrate(folder: HubFolder) -> tuple[str | None, str | None]:
    """Bring the database to the newest schema; gives the revisions before and after."""
    settings = folder.read_settings()
    async with open_database(folder.database(settings.database), must_exist=True) as database:
        return await upgrade(database, MIGRATIONS)


async def restored(folder: HubFolder, *, actor: str, clock: Clock = utc_now) -> NewEpoch:
    """Begin a new epoch of the hub in `folder`, which was put back to a backup. Raises `hub-running`."""
    async with AsyncExitStack() as stack:
        foundation = await stack.enter_async_context(open_foundation(folder, clock=clock))
        stack.enter_context(exclusive(folder.serving_lock, already_running(folder)))
        await upgrade(foundation.database, MIGRATIONS)
        return await begin_epoch(foundation.database, foundation.publisher, clock=clock, actor=actor)


@asynccontextmanager
async def held(folder: HubFolder, clock: Clock) -> AsyncIterator[Foundation]:
    """The hub in `folder`, for the one program of this machine that serves it. Raises `hub-running`."""
    _renew_certificates(folder, clock())
    async with open_foundation(folder, clock=clock) as foundation:
        with exclusive(folder.serving_lock, already_running(folder)):
            yield foundation


async def serve(
    folder: HubFolder,
    stop: asyncio.Event,
    *,
    announce: Callable[[HubSettings, Address], None],
    worker: Worker | None = None,
    clock: Clock = utc_now,
) -> None:
    """Run the hub in `folder` until `stop` is set; `announce` is told the address once the hub answers there.

    As `worker` it is one of several processes; the one that watches them holds the folder.
    """
    async with AsyncExitStack() as stack:
        opened = held(folder, clock) if worker is None else open_foundation(folder, clock=clock)
        foundation = await stack.enter_async_context(opened)
        if worker is not None:
            stack.enter_context(worker.watched(stop))
        before, after = await upgrade(foundation.database, MIGRATIONS)
        if before != after:
            log.info("database.migrated", before=before, after=after)
        await try_at_start(foundation.blobs, foundation.blobs_owner)
        for certificate in expiring(foundation.keys, clock, within=_SOON):
            log.warning("certificate.expires", certificate=certificate)
        hub = foundation.settings.hub
        registry = _registry(foundation.keys)
        meters = Meters(registry)
        agreed = _agreed_clock(foundation, registry)
        # Before the first answer: what is wrong by much serves nobody.
        await agreed.agrees()
        exchange = await _exchange(foundation, meters, stop, agreed.now)
        rung = asyncio.Event()
        await stack.enter_async_context(doorbell(folder.doorbell(worker.number if worker else 0), rung))
        supervisor = Supervisor(meters.service_restarts, Random())
        link = _link(foundation, exchange, meters, registry)
        helpful = {CLOCK: trial_of_clock(agreed), **({BROKER: link.broker.trial} if link else {})}
        services = {
            **_listeners(
                foundation,
                exchange,
                registry,
                supervisor,
                agreed,
                announce=announce,
                helpful=helpful,
                worker=worker,
            ),
            **exchange_services(exchange, foundation.keys.push_tls(), link.hints if link else None),
            **(link.services if link else {}),
            "doorbell": _doorbell(rung, exchange.wakeups),
        }
        duties = {
            **exchange_duties(exchange),
            **await _webhook(foundation, exchange, meters, stack),
            "directory-refresh": directory_refresh(
                DirectoryRenewal(
                    foundation.database, foundation.publisher, timedelta(days=hub.directory.renew_days), agreed.now
                )
            ),
        }
        grace = hub.http.grace_seconds + LAST_GRACE
        led_here = {name: supervisor.keep(name, run) for name, run in duties.items()}
        in_turn = partial(run_services, led_here, grace=grace)
        services["duties"] = led(foundation.database, "hub", in_turn, is_fit=agreed.agrees)
        kept = {name: supervisor.keep(name, run, must_start=name in _LISTENERS) for name, run in services.items()}
        await run_services(kept, stop, grace=grace)
    log.info("hub.stopped", name=hub.name)


def already_running(folder: HubFolder) -> Unavailable:
    """The refusal of whoever needs a folder for itself while a hub serves from it."""
    return Unavailable("hub-running", f"A hub is running in {folder.root} already.", mend="Stop it first.")


def renew(folder: HubFolder, now: datetime, *, within: timedelta = _SOON) -> tuple[str, ...]:
    """Renew what of the hub's own certificates ends `within` that time, for the same keys; gives their uses."""
    hub = folder.read_settings().hub
    renewed = renew_expiring(
        folder.authority,
        folder.keys,
        name=hub.name,
        passphrase=folder.passphrase(hub.passphrase_file),
        now=now,
        within=within,
    )
    for use in renewed:
        log.info("certificate.renewed", certificate=use)
    return renewed


def _renew_certificates(folder: HubFolder, now: datetime) -> None:
    # Where the keys come from a read-only mount, `hub renew` is run where they are kept; the log warns until then.
    if os.access(folder.keys, os.W_OK) or not folder.keys.exists():
        renew(folder, now)


async def _exchange(foundation: Foundation, meters: Meters, stop: asyncio.Event, certain: CertainClock) -> Exchange:
    return Exchange.of(
        foundation.database,
        foundation.blobs,
        name=foundation.settings.hub.name,
        epoch=await foundation.database.read(state.epoch),
        receipts_key=foundation.keys.receipts,
        settings=foundation.settings.exchange,
        alerting=foundation.settings.alerts,
        meters=meters,
        clock=foundation.clock,
        certain=certain,
        chance=Random(),
        stop=stop,
        outbox=bool(foundation.settings.broker.url),
    )


def _link(foundation: Foundation, exchange: Exchange, meters: Meters, registry: CollectorRegistry) -> BrokerLink | None:
    """The link to the broker, if there is one."""
    settings = foundation.settings.broker
    if not settings.url:
        return None
    link = link_to_broker(
        broker_address(settings, foundation.folder.root),
        settings,
        foundation.database,
        exchange,
        meters,
        clock=foundation.clock,
        chance=Random(),
    )
    is_up = Gauge("congvan_hub_broker_up", "1 while the broker takes what is published, else 0.", registry=registry)
    is_up.set_function(lambda: float(link.broker.is_working))
    return link


async def _webhook(
    foundation: Foundation, exchange: Exchange, meters: Meters, stack: AsyncExitStack
) -> dict[str, Service]:
    """The service that sends alerts, if there is an address for them."""
    settings = foundation.settings.alerts.webhook
    if not settings.url or settings.secret_file is None:
        return {}
    terms = WebhookTerms(
        url=URL(settings.url),
        secret=read_secret(foundation.folder.root / settings.secret_file, least=LEAST_SECRET),
        timeout=timedelta(seconds=settings.timeout_seconds),
        longest=timedelta(seconds=settings.longest_wait_seconds),
    )
    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=LoopConnector(), cookie_jar=aiohttp.DummyCookieJar())
    )
    webhook = Webhook(foundation.database, session, terms, meters=meters, clock=foundation.clock, chance=Random())
    return {"webhook": webhook_service(webhook, exchange.wakeups)}


def _listeners(
    foundation: Foundation,
    exchange: Exchange,
    registry: CollectorRegistry,
    supervisor: Supervisor,
    agreed: AgreedClock,
    *,
    announce: Callable[[HubSettings, Address], None],
    helpful: Mapping[str, Trial],
    worker: Worker | None,
) -> dict[str, Service]:
    """What answers at the public address, and at that of operations."""
    settings, database, keys, clock = foundation.settings, foundation.database, foundation.keys, foundation.clock
    hub = settings.hub
    measured = HubMetrics(registry, FiguresOfNow(database, clock), clock)
    trials = trials_of(database, foundation.blobs, foundation.folder.data, keys, clock)
    readiness = Readiness({**trials, "services": supervisor.all_run, **helpful}, partial(is_needed, clock=agreed))
    enrolment = Enrolment(database, keys.authority, foundation.publisher, hub.name, clock)
    routes = [
        *enrolment_routes(enrolment, FailureLimit(hub.enrolment.failures_per_minute, clock), hub.proxy.addresses),
        *directory_routes(database),
        *agency_routes(foundation.units, silence=foundation.settings.exchange.submissions.silence_seconds),
        *exchange_routes(exchange),
        *public_health_routes(readiness, measured, hub.operations.metrics_from),
    ]
    public = public_application(routes, PeerRegister(database, clock), hub.proxy, registry, agreed)

    def ready(address: Address) -> None:
        log.info("hub.ready", name=hub.name, address=str(address))
        announce(settings, address)

    place = hub.address if worker is None else worker.socket()
    services = {"http": _listener(public, place, hub, tls=keys.server_tls(), ready=ready)}
    if hub.operations.address is not None:
        operations = operations_application(operations_routes(readiness, measured))
        own = hub.operations.address.moved(worker.number - 1 if worker else 0)
        services["operations"] = _listener(operations, own, hub, tls=None, ready=_log_operations)
    return services


def _listener(
    application: web.Application,
    place: Address | socket.socket,
    hub: HubTable,
    *,
    tls: ssl.SSLContext | None,
    ready: Callable[[Address], None],
) -> Service:
    async def run(stop: asyncio.Event) -> None:
        async with listening(application, place, hub.http, tls=tls) as bound:
            ready(bound)
            await stop.wait()

    return run


def _doorbell(rung: asyncio.Event, wakeups: Wakeups) -> Service:
    """A command beside this process changed something, or the hub stops: whoever waits looks about at once."""

    async def run(stop: asyncio.Event) -> None:
        async def ring_at_stop() -> None:
            await stop.wait()
            rung.set()

        async with asyncio.TaskGroup() as ringers:
            ringers.create_task(ring_at_stop())
            while not stop.is_set():
                await rung.wait()
                rung.clear()
                wakeups.wake_all()

    return run


def _log_operations(address: Address) -> None:
    log.info("operations.ready", address=str(address))


def _agreed_clock(foundation: Foundation, registry: CollectorRegistry) -> AgreedClock:
    """The process's clock, held against the database's."""
    agreed = AgreedClock(foundation.database, foundation.clock)
    ahead = Gauge(
        "congvan_hub_clock_ahead_seconds",
        "By how much this process's clock is ahead of the database server's; on SQLite, has jumped.",
        registry=registry,
    )
    ahead.set_function(lambda: agreed.ahead)
    return agreed


def _registry(keys: HubKeys) -> CollectorRegistry:
    registry = CollectorRegistry()
    expiry = Gauge(
        "congvan_hub_certificate_expiry_timestamp_seconds",
        "When a certificate of the hub expires.",
        ("certificate",),
        registry=registry,
    )
    for validity in keys.validities():
        expiry.labels(validity.use).set(validity.not_after.timestamp())
    return registry
