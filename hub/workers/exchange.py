"""The services of the exchange, all together."""

from __future__ import annotations

import ssl

from hub.usecases.exchange import Exchange
from hub.workers.fanout import fanout_service
from hub.workers.push import push_service
from hub.workers.retention import retention_service
from hub.workers.sweeps import sweep_service
from hub.workers.watch import watch_service
from runtime.lifecycle import Service


def exchange_services(exchange: Exchange, push_tls: ssl.SSLContext) -> dict[str, Service]:
    """What the exchange does by itself, by the names of the services; pushes go out with `push_tls`."""
    return {
        "fanout": fanout_service(exchange.fanout, exchange.wakeups),
        "watch": watch_service(exchange.watch),
        "push": push_service(exchange.push, push_tls),
        "sweeps": sweep_service(exchange.expiry, exchange.leavings),
        "retention": retention_service(exchange.retention),
    }
