"""Metrics in the Prometheus form. Each program makes one registry; nothing is global."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

#: The media type of `render`'s answer.
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

#: Seconds: from a wake-up on an idle machine to a slow disk under load.
LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def render(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)
