"""What the exchange counts as it happens. Labels are few: lanes, states, rules, events, never a code or an id."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class Meters:
    """The counters of one hub process, in `registry`; they begin at nothing with each start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.alerts = Counter(
            "congvan_hub_alerts", "Alerts raised, whether or not a webhook is set.", ("event",), registry=registry
        )
        self.pushes = Counter(
            "congvan_hub_pushes", "Batches pushed to nodes: taken, busy or failed.", ("result",), registry=registry
        )
        self.webhook_posts = Counter(
            "congvan_hub_webhook_posts", "Tries to send an alert to the webhook.", ("result",), registry=registry
        )
        self.alerts_dropped = Counter(
            "congvan_hub_alerts_dropped", "Alerts dropped unsent: more waited than are kept.", registry=registry
        )
