"""The services of the exchange, all together."""

from __future__ import annotations

from hub.usecases.exchange import Exchange
from hub.workers.fanout import fanout_service
from hub.workers.retention import retention_service
from hub.workers.sweeps import sweep_service
from hub.workers.watch import watch_service
from runtime.lifecycle import Service


def exchange_services(exchange: Exchange) -> dict[str, Service]:
    """What the exchange does by itself, by the names of the services."""
    return {
        "fanout": fanout_service(exchange.fanout, exchange.wakeups),
        "watch": watch_service(exchange.watch),
        "sweeps": sweep_service(exchange.expiry, exchange.leavings),
        "retention": retention_service(exchange.retention),
    }
