"""The node's record as gauges, taken when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from node.store.records import NodeStatus
from node.store.verdicts import VerdictKind
from node.usecases.adapter_calls import AdapterCalls
from node.usecases.guarding import Guards
from node.usecases.queries import Queries
from runtime.clock import Clock
from runtime.readiness import PartReport, Readiness


class NodeGauges(Collector):
    """Gauges of one node; `refresh` before they are collected."""

    def __init__(
        self, queries: Queries, certificates: Mapping[str, datetime], clock: Clock, registry: CollectorRegistry
    ) -> None:
        self._queries = queries
        self._certificates = certificates
        self._clock = clock
        self._status: NodeStatus | None = None
        registry.register(self)

    async def refresh(self) -> None:
        self._status = await self._queries.status()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        expiry = GaugeMetricFamily(
            "congvan_node_certificate_expiry_timestamp_seconds",
            "When a certificate of the node expires.",
            labels=("certificate",),
        )
        for use, at in self._certificates.items():
            expiry.add_metric((use,), at.timestamp())
        yield expiry
        if self._status is not None:
            yield from self._of_record(self._status)

    def _of_record(self, status: NodeStatus) -> Iterator[GaugeMetricFamily]:
        outbox = GaugeMetricFamily("congvan_node_outbox_messages", "Messages of ours, by state.", labels=("state",))
        for state, count in status.outbox.items():
            outbox.add_metric((state,), count)
        yield outbox
        handovers = GaugeMetricFamily(
            "congvan_node_handovers", "Received messages on their way to an agency's software.", labels=("state",)
        )
        for handover, count in status.handovers.items():
            handovers.add_metric((handover,), count)
        yield handovers
        due = GaugeMetricFamily(
            "congvan_node_documents_due",
            "Documents with a deadline that are not finished: far ahead, told to be near, told to be past.",
            labels=("stage",),
        )
        for stage, count in status.deadlines.items():
            due.add_metric((stage,), count)
        yield due
        oldest = status.oldest_waiting_at
        waiting = (self._clock() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily(
            "congvan_node_oldest_waiting_seconds", "How long the oldest unsent message has waited.", waiting
        )
        yield GaugeMetricFamily("congvan_node_inbox_messages", "Messages received.", status.inbox)
        yield GaugeMetricFamily("congvan_node_reports_waiting", "Receipts not reported yet.", status.reports_waiting)
        yield GaugeMetricFamily(
            "congvan_node_resubmissions_waiting",
            "Messages that a restored hub is still to be brought again.",
            status.resubmissions_waiting,
        )
        yield GaugeMetricFamily(
            "congvan_node_clock_ahead_seconds",
            "By how much this machine's clock is ahead of the hub's; below 0 it is behind.",
            status.contact.clock_ahead or 0.0,
        )
        yield GaugeMetricFamily(
            "congvan_node_hub_reachable", "1 while the hub answers.", status.contact.unreachable_since is None
        )
        silent_since = status.contact.unreachable_since
        silence = (self._clock() - silent_since).total_seconds() if silent_since else 0.0
        yield GaugeMetricFamily(
            "congvan_node_hub_silent_seconds", "How long the hub has not answered; 0 while it does.", silence
        )
        yield GaugeMetricFamily(
            "congvan_node_directory_version", "The version of the directory that is here.", status.directory.version
        )
        if status.free_bytes is not None:
            yield GaugeMetricFamily("congvan_node_free_bytes", "Free bytes on the node's disk.", status.free_bytes)


class AdapterGauges(Collector):
    """How each adapter does: whether it runs, what it was asked to hand over, and what came of that.

    `well` tells of each adapter by name whether its source runs.
    """

    def __init__(self, calls: AdapterCalls, well: Mapping[str, Callable[[], bool]]) -> None:
        self._calls = calls
        self._well = well

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        up = GaugeMetricFamily(
            "congvan_node_adapter_up", "1 unless the adapter has failed just now.", labels=("adapter",)
        )
        for name, is_well in self._well.items():
            up.add_metric((name,), is_well())
        yield up
        handed = CounterMetricFamily(
            "congvan_node_adapter_deliveries",
            "Calls of an adapter to hand a message over, by what it answered; timed-out and failed are its faults.",
            labels=("adapter", "outcome"),
        )
        seconds = CounterMetricFamily(
            "congvan_node_adapter_seconds", "How long these calls took together.", labels=("adapter",)
        )
        under_way = GaugeMetricFamily(
            "congvan_node_adapter_calls_under_way", "Such calls at this moment.", labels=("adapter",)
        )
        for name, counts in dict(self._calls.counts).items():
            for outcome, count in dict(counts.outcomes).items():
                handed.add_metric((name, outcome), count)
            seconds.add_metric((name,), counts.seconds)
            under_way.add_metric((name,), counts.under_way)
        yield from (handed, seconds, under_way)


class PartGauges(Collector):
    """What `/readyz` tells of each part, for who watches metrics alone; `refresh` before they are collected."""

    def __init__(self, readiness: Readiness, registry: CollectorRegistry) -> None:
        self._readiness = readiness
        self._reports: tuple[PartReport, ...] = ()
        registry.register(self)

    async def refresh(self) -> None:
        self._reports = await self._readiness.reports()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily(
            "congvan_node_part_up", "1 if a part of /readyz answers well: an adapter, a guard, …", labels=("part",)
        )
        for report in self._reports:
            up.add_metric((report.part,), report.fault is None)
        yield up


class GuardGauges(Collector):
    """What the guards of this process have said: of what was handed in to it, and of what it hands over."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards

    def collect(self) -> Iterator[CounterMetricFamily]:
        verdicts = CounterMetricFamily(
            "congvan_node_guard_verdicts",
            "Verdicts of a guard on messages, by the way they go; what waits is asked about again.",
            labels=("guard", "way", "verdict"),
        )
        counts = dict(self._guards.counts)
        for post in self._guards.posts:
            for way in sorted(post.ways):
                for kind in VerdictKind:
                    verdicts.add_metric((post.name, way, kind), counts.get((post.name, way, kind), 0))
        yield verdicts
