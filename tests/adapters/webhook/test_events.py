"""Events pushed to the software: each until it is taken, in order, across restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from adapters.sdk import EventName, MessageKind, NodeEvent
from adapters.webhook import following
from tests.adapters.conftest import until
from tests.adapters.simulator import NOW, NodeSimulator, code
from tests.adapters.webhook.conftest import Software, opened


@dataclass
class NodeWithEvents(NodeSimulator):
    """A node with a log."""

    log: list[NodeEvent] = field(default_factory=list)

    def happens(self, name: EventName) -> None:
        self.log.append(
            NodeEvent(
                number=len(self.log) + 1,
                at=NOW,
                name=name,
                message_id="a" * 64,
                kind=MessageKind.DOCUMENT,
                sender=code("G22"),
                code=code("H23"),
                document_id="1",
                status=None,
                about=(),
                text=None,
            )
        )

    async def events(self, *, after: int = 0, limit: int = 100, wait_seconds: float = 0.0) -> Sequence[NodeEvent]:
        async with asyncio.timeout(wait_seconds + 1):
            while len(self.log) <= after:  # noqa: ASYNC110 - a test writes the log
                await asyncio.sleep(0.01)
        return self.log[after : after + limit]

    async def last_event(self) -> int:
        return len(self.log)


def told(software: Software) -> list[int]:
    return [event["number"] for _, body in software.requests for event in json.loads(body)["events"]]


async def test_events_are_pushed_in_order_until_they_are_taken(
    software: Software, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first start on, each event comes; one not taken comes again first; a restart leaves out none."""
    monkeypatch.setattr(following, "_FIRST_WAIT", 0.01)
    node = NodeWithEvents(tmp_path / "outbox")
    node.happens(EventName.DOCUMENT_ARRIVED)
    async with opened(node, tmp_path, software.url, events=True):
        await until((tmp_path / "events.json").exists)
        node.happens(EventName.HANDOVER_DONE)
        await until(lambda: told(software) == [2])
        software.answer = lambda: web.Response(status=422)
        node.happens(EventName.DEADLINE_NEAR)
        await until(lambda: told(software)[:3] == [2, 3, 3])
    node.happens(EventName.DEADLINE_PAST)
    software.requests.clear()
    software.answer = lambda: web.Response(status=204)
    async with opened(node, tmp_path, software.url, events=True):
        await until(lambda: told(software) == [3, 4])
    [(request, body)] = software.requests
    assert request.headers["Congvan-Delivery"] == "events-3-4"
    assert [event["name"] for event in json.loads(body)["events"]] == ["deadline.near", "deadline.past"]
