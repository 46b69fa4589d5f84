"""The node put together: each resource opened once, in order, and closed in the reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from certs.keys import read_certificates
from certs.tls import push_server_context
from node.adapter_tables import OpenAdapters, open_adapters
from node.foundation import Foundation, open_foundation
from node.http.gauges import AdapterGauges, GuardGauges, NodeGauges, PartGauges
from node.http.listening import listening
from node.http.operations import operations_application
from node.http.push import PushIntake, push_application
from node.settings import NodeFolder
from node.store.migrate import MIGRATIONS
from node.usecases.adapter_calls import AdapterCalls
from node.usecases.downloads import Downloads
from node.usecases.health import expiries, is_needed, trials_of
from node.usecases.intake import Intake
from node.usecases.ownership import claim_database
from node.usecases.push_contact import PushContact
from node.usecases.rerouting import take_back_strays
from node.workers.doorbell import doorbell_service
from node.workers.services import ExchangeParts, exchange_services, intake_of
from runtime.addresses import Address
from runtime.blob_settings import try_at_start
from runtime.clock import Clock, utc_now
from runtime.files import make_private_folder
from runtime.leadership import led
from runtime.lifecycle import Service, run_services
from runtime.locks import exclusive
from runtime.migrations import upgrade
from runtime.readiness import Readiness
from runtime.supervision import Supervisor
from schemas.errors import Unavailable
from transport.client import HubClient

log = structlog.get_logger()

#: The log warns of certificates that have less than this left.
_SOON: Final = timedelta(days=30)


async def serve(
    folder: NodeFolder,
    stop: asyncio.Event,
    *,
    announce: Callable[[str], None] = lambda _connection: None,
    clock: Clock = utc_now,
) -> None:
    """Run the node in `folder` until `stop` is set. The hub need not be there.

    `announce` is told the node's connection once it takes documents. Of several instances that share a database on a
    server one works; another takes its place when it is gone.
    """
    running = Unavailable("node-running", f"A node is running in {folder.root} already.", mend="Stop it first.")
    async with AsyncExitStack() as stack:
        folder.read_settings()
        make_private_folder(folder.data)
        stack.enter_context(exclusive(folder.serving_lock, running))
        node = await stack.enter_async_context(open_foundation(folder, clock=clock))
        before, after = await upgrade(node.database, MIGRATIONS)
        if before != after:
            log.info("database.migrated", before=before, after=after)
        await claim_database(node.database, node.identity)
        await try_at_start(node.blobs, node.blobs_owner)
        certificates = await asyncio.to_thread(_expiries, node)
        for use, expiry in certificates.items():
            if expiry <= clock() + _SOON:
                log.warning("certificate.expires", certificate=use, at=expiry)
        # Of several instances in one database one works; what it knows it reads when its turn comes.
        work = partial(_work, node, certificates, announce)
        await led(node.database, "node", work)(stop)
    log.info("node.stopped", connection=node.identity.connection)


async def _work(
    node: Foundation, certificates: Mapping[str, datetime], announce: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Exchange documents until `stop` is set, as the only instance of the node that does."""
    async with AsyncExitStack() as stack:
        await node.directory.load()
        hub = await stack.enter_async_context(node.hub_client())
        adapters = await open_adapters(node, stack)
        await take_back_strays(node.database, adapters.route, node.clock)
        services = _services(node, hub, adapters, certificates)
        log.info(
            "node.ready",
            connection=node.identity.connection,
            codes=[code.value for code in node.directory.served_codes],
            hub=node.settings.hub.url,
            adapters=list(adapters.adapters),
        )
        announce(node.identity.connection)
        await run_services(services, stop, grace=node.settings.node.grace_seconds)


def _services(
    node: Foundation, hub: HubClient, adapters: OpenAdapters, certificates: Mapping[str, datetime]
) -> dict[str, Service]:
    handover = node.settings.exchange.handover
    # Where adapters share an agency's messages, one of them leaves the others a place.
    calls = AdapterCalls(max(1, handover.parallel - 1) if adapters.splits else None)
    parts = ExchangeParts(
        database=node.database,
        blobs=node.blobs,
        attachments=node.attachments,
        downloads=Downloads(node.blobs, hub, node.transfers),
        transfers=node.transfers,
        directory=node.directory,
        identity=node.identity,
        hub=hub,
        route=adapters.route,
        calls=calls,
        guards=node.guards,
        wakeups=node.wakeups,
        settings=node.settings.exchange,
        clock=node.clock,
        chance=Random(),
    )
    push = node.settings.node.push
    contact = PushContact(
        node.clock, trust=timedelta(seconds=push.trust_seconds), interval=timedelta(seconds=push.poll_seconds)
    )
    intake = intake_of(parts)
    registry = CollectorRegistry()
    restarts = Counter(
        "congvan_node_service_restarts",
        "Services of this process that failed and were started again.",
        ("service",),
        registry=registry,
    )
    supervisor = Supervisor(restarts, Random())
    # Adapters answer for themselves: a part of readiness asks each.
    foreign = Supervisor(restarts, Random())
    registry.register(
        AdapterGauges(calls, {name: partial(foreign.is_well, f"adapter {name}") for name in adapters.adapters})
    )
    registry.register(GuardGauges(node.guards))
    services = {
        **{name: supervisor.keep(name, run) for name, run in exchange_services(parts, intake, contact).items()},
        "doorbell": supervisor.keep("doorbell", doorbell_service(node.folder.doorbell, node.wakeups)),
        **{
            f"adapter {name}": foreign.keep(f"adapter {name}", adapter.run)
            for name, adapter in adapters.adapters.items()
        },
    }
    if push.address is not None:
        services["push"] = supervisor.keep("push", _push(node, intake, contact, push.address), must_start=True)
    address = node.settings.node.operations.address
    if address is not None:
        operations = _operations(node, adapters, certificates, supervisor, registry)
        services["operations"] = supervisor.keep("operations", operations(address), must_start=True)
    return services


def _push(node: Foundation, intake: Intake, contact: PushContact, address: Address) -> Service:
    """The listener for what the hub pushes. It shows the certificate that the node shows to the hub."""
    keys = node.keys
    tls = push_server_context(keys.tls_chain, keys.tls_key, keys.passphrase, node.identity.hub_authority)

    async def run(stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as downloads:
            pushes = PushIntake(node.identity.hub, intake, contact, downloads, node.settings.node.push)
            async with listening(push_application(pushes), address, table="node.push", tls=tls) as bound:
                log.info("push.ready", address=str(bound))
                await stop.wait()

    return run


def _operations(
    node: Foundation,
    adapters: OpenAdapters,
    certificates: Mapping[str, datetime],
    supervisor: Supervisor,
    registry: CollectorRegistry,
) -> Callable[[Address], Service]:
    gauges = NodeGauges(node.queries, certificates, node.clock, registry)
    readiness = Readiness(
        {
            "services": supervisor.all_run,
            **trials_of(
                node.database,
                node.blobs,
                node.folder.data,
                certificates=certificates,
                queries=node.queries,
                adapters=adapters.adapters,
                guards={post.name: post.guard for post in node.guards.posts},
                clock=node.clock,
                clock_tolerance=node.settings.exchange.receiver.clock_tolerance,
            ),
        },
        is_needed,
    )

    parts = PartGauges(readiness, registry)

    def listener(address: Address) -> Service:
        async def run(stop: asyncio.Event) -> None:
            application = operations_application(readiness, gauges, parts, registry)
            async with listening(application, address, table="node.operations") as bound:
                log.info("operations.ready", address=str(bound))
                await stop.wait()

        return run

    return listener


def _expiries(node: Foundation) -> dict[str, datetime]:
    return expiries(read_certificates(node.keys.tls_chain)[0], node.identity.seal.certificate)
