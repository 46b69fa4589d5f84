"""The services of the exchange, all together."""

from __future__ import annotations

import ssl

from hub.usecases.exchange import Exchange
from hub.workers.fanout import fanout_service
from hub.workers.push import PushHints, push_service
from hub.workers.retention import retention_service
from hub.workers.sweeps import sweep_service
from hub.workers.watch import watch_service
from runtime.lifecycle import Service


def exchange_services(
    exchange: Exchange, push_tls: ssl.SSLContext, hints: PushHints | None = None
) -> dict[str, Service]:
    """What each process of the exchange does by itself, by name; pushes go out with `push_tls`.

    While `hints` flow, fan-out and pushes are left to whom they come to.
    """
    flowing = hints.are_flowing if hints is not None else lambda: False
    return {
        "fanout": fanout_service(exchange.fanout, exchange.wakeups, left_to_others=flowing),
        "watch": watch_service(exchange.watch),
        "push": push_service(exchange.push, push_tls, hints=hints),
    }


def exchange_duties(exchange: Exchange) -> dict[str, Service]:
    """What one process of the exchange does for all, by name."""
    return {
        "sweeps": sweep_service(exchange.expiry, exchange.leavings),
        "retention": retention_service(exchange.retention),
    }
