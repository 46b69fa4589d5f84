"""What waits at the hub, as gauges beside its counters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hub.store.figures import Figures
from hub.usecases.figures import FiguresOfNow
from hub.usecases.lanes import LANES
from runtime.clock import Clock
from runtime.metrics import render


class HubMetrics(Collector):
    """The metrics of a hub process: what `registry` counts, and gauges that are taken when they are asked for."""

    def __init__(self, registry: CollectorRegistry, figures: FiguresOfNow, clock: Clock) -> None:
        self._registry = registry
        self._figures = figures
        self._clock = clock
        self._taken: Figures | None = None
        registry.register(self)

    async def text(self) -> bytes:
        """All of it, as Prometheus reads it. Without a database the gauges are missing, and the counters are there."""
        self._taken = await self._figures.get()
        # Collectors may ask the disk.
        return await asyncio.to_thread(render, self._registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if self._taken is not None:
            yield from self._gauges(self._taken)

    def _gauges(self, taken: Figures) -> Iterator[GaugeMetricFamily]:
        waiting = GaugeMetricFamily(
            "congvan_hub_messages_waiting",
            "Messages that wait in mailboxes, leased ones too, once for each connection; by lane, 0 is express.",
            labels=("lane",),
        )
        oldest = GaugeMetricFamily(
            "congvan_hub_oldest_waiting_seconds",
            "How long the oldest message or receipt in a mailbox has waited, by lane.",
            labels=("lane",),
        )
        now = self._clock()
        for lane in range(LANES):
            waiting.add_metric((str(lane),), taken.messages.get(lane, 0))
            since = taken.oldest.get(lane)
            oldest.add_metric((str(lane),), (now - since).total_seconds() if since else 0.0)
        yield waiting
        yield oldest
        yield GaugeMetricFamily(
            "congvan_hub_connections_silent", "Connections that have ceased to fetch.", taken.silent
        )
        yield GaugeMetricFamily(
            "congvan_hub_alerts_waiting", "Alerts that the webhook has not taken yet.", taken.alerts
        )
        breakers = GaugeMetricFamily(
            "congvan_hub_push_breakers", "Push endpoints by the state of their breaker.", labels=("state",)
        )
        for state, count in taken.breakers.items():
            breakers.add_metric((state,), count)
        yield breakers
        work = GaugeMetricFamily(
            "congvan_hub_work_waiting",
            "Work in the outbox that is not done: open, or stuck (set aside; it is tried again each hour).",
            labels=("kind", "state"),
        )
        for (kind, is_stuck), count in taken.work.items():
            work.add_metric((kind, "stuck" if is_stuck else "open"), count)
        yield work
