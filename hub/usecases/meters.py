"""What the exchange counts as it happens. Labels are few: lanes, states, rules, events, never a code or an id."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class Meters:
    """The counters of one hub process, in `registry`; they begin at nothing with each start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.service_restarts = Counter(
            "congvan_hub_service_restarts",
            "Services of this process that failed and were started again.",
            ("service",),
            registry=registry,
        )
        self.accepted = Counter(
            "congvan_hub_messages_accepted", "Messages accepted, by lane; 0 is express.", ("lane",), registry=registry
        )
        self.refused = Counter(
            "congvan_hub_submissions_refused", "Submissions refused, by the rule.", ("rule",), registry=registry
        )
        self.deliveries = Counter(
            "congvan_hub_deliveries_ended", "Deliveries that came to an end.", ("state",), registry=registry
        )
        self.receipts = Counter(
            "congvan_hub_receipts_entered", "Receipts of nodes entered, by event.", ("event",), registry=registry
        )
        self.leases = Counter("congvan_hub_leases", "Mailbox entries leased.", registry=registry)
        self.lapses = Counter(
            "congvan_hub_leases_lapsed", "Leases found lapsed when the entry was leased again.", registry=registry
        )
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
        self.work_announced = Counter(
            "congvan_hub_work_announced",
            "Pieces of work that the broker confirmed, by kind.",
            ("kind",),
            registry=registry,
        )
        self.work_ended = Counter(
            "congvan_hub_work_ended",
            "Hints from the broker: done, again (it failed), dead (it failed too often), by kind.",
            ("kind", "result"),
            registry=registry,
        )
        self.wakeups_carried = Counter(
            "congvan_hub_wakeups_carried",
            "Wake-ups between hub processes: sent, heard, dropped (the broker was too slow).",
            ("way",),
            registry=registry,
        )
