"""The webhook: signed, tried until it is taken, followed nowhere, silent about its secrets."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from yarl import URL

from hub.settings_alerts import AlertSettings
from hub.store import alerts
from hub.usecases.alerts import AlertEvent, Alerts
from hub.usecases.meters import Meters
from hub.usecases.webhook import Webhook, WebhookTerms
from hub.workers.webhook import webhook_service
from runtime.passphrases import read_secret
from schemas.errors import Rejected
from tests.hub.exchange.conftest import HUB, World
from tests.hub.exchange.nodes import Node

SECRET = b"a-secret-of-the-monitoring"


@dataclass(slots=True)
class Monitoring:
    """The operator's monitoring: answers as it is told, one answer a post, then takes all; keeps what came."""

    url: URL
    answers: list[int | str] = field(default_factory=list)
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.came.append((request.path, dict(request.headers), await request.read()))
        self.called.set()
        match self.answers.pop(0) if self.answers else 204:
            case "hang":
                await asyncio.sleep(30)
                return web.Response()
            case "redirect":
                return web.Response(status=307, headers={"Location": str(self.url.with_path("/elsewhere"))})
            case "cut":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case int(status):
                return web.Response(status=status)
            case other:
                raise ValueError(other)

    @property
    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, _, body in self.came]


@pytest.fixture
async def monitoring() -> AsyncIterator[Monitoring]:
    application = web.Application()
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    monitoring = Monitoring(URL())
    application.router.add_route("*", "/{path:.*}", monitoring.answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monitoring.url = URL(f"http://operator:pass-word@127.0.0.1:{site.port}/path-that-is-secret")
    yield monitoring
    await runner.cleanup()


@dataclass(slots=True)
class Desk:
    """Raises alerts and sends them, for a connection of the world."""

    world: World
    alerts: Alerts
    webhook: Webhook
    meters: Meters

    async def raise_one(self, event: AlertEvent = AlertEvent.AGENCY_SILENT) -> str:
        now = self.world.clock()
        alert = await self.world.database.write(
            lambda transaction: self.alerts.raise_in(transaction, event, "haiduong", at=now, since=now)
        )
        self.alerts.tell([alert])
        return alert.alert_id

    async def send_all(self) -> None:
        while await self.webhook.send_one():
            pass

    async def waiting(self) -> int:
        return await self.world.database.read(alerts.count)


@pytest.fixture
async def desk(world: World, h23: Node, monitoring: Monitoring) -> AsyncIterator[Desk]:
    meters = Meters(CollectorRegistry())
    terms = WebhookTerms(
        url=monitoring.url, secret=SECRET, timeout=timedelta(seconds=0.3), longest=timedelta(seconds=60)
    )
    async with aiohttp.ClientSession() as session:
        webhook = Webhook(world.database, session, terms, meters=meters, clock=world.clock, chance=Random(1))
        yield Desk(world, Alerts(HUB, 100, meters, world.exchange.wakeups), webhook, meters)


async def test_an_alert_comes_signed_over_time_and_document(desk: Desk, monitoring: Monitoring) -> None:
    """Who knows the secret can tell an alert of this hub, sent at that second, from anything else."""
    alert_id = await desk.raise_one()
    await desk.send_all()
    ((path, headers, body),) = monitoring.came
    timestamp = headers["Congvan-Timestamp"]
    expected = hmac.new(SECRET, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["Congvan-Signature"] == f"v1={expected}"
    assert (headers["Congvan-Alert"], headers["Content-Type"], path) == (
        alert_id,
        "application/json",
        "/path-that-is-secret",
    )
    assert int(timestamp) == int(desk.world.clock().timestamp())
    assert json.loads(body)["agencies"] == ["H23", "H23.12", "H23.13"]
    assert await desk.waiting() == 0


@pytest.mark.parametrize("fault", [500, 404, 302, "redirect", "cut", "hang"])
async def test_what_is_not_taken_is_sent_again_and_followed_nowhere(
    desk: Desk, monitoring: Monitoring, fault: int | str
) -> None:
    """Only 2xx takes an alert; anything else puts it off, with its id, until it is taken."""
    monitoring.answers = [fault]
    alert_id = await desk.raise_one()
    await desk.send_all()
    assert (monitoring.ids, await desk.waiting()) == ([alert_id], 1)
    desk.world.clock.advance(seconds=7)
    await desk.send_all()
    assert (monitoring.ids, await desk.waiting()) == ([alert_id, alert_id], 0)
    assert {path for path, _, _ in monitoring.came} == {"/path-that-is-secret"}


async def test_tries_grow_rare_and_an_alert_that_is_new_goes_first_time_at_once(
    desk: Desk, monitoring: Monitoring
) -> None:
    """Waits double up to the longest; a fresh alert does not wait for an old one's turn."""
    monitoring.answers = [500] * 40
    await desk.raise_one()
    tried_at = []
    for _ in range(600):
        before = len(monitoring.came)
        await desk.send_all()
        if len(monitoring.came) > before:
            tried_at.append(desk.world.clock())
        desk.world.clock.advance(seconds=1)
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(tried_at)]
    assert all(0.8 * full <= wait <= 1.2 * full + 1 for full, wait in zip((5, 10, 20, 40), waits, strict=False))
    assert all(48 <= wait <= 73 for wait in waits[4:])
    assert len(waits) > 8
    monitoring.answers = []
    fresh = await desk.raise_one(AlertEvent.AGENCY_BACK)
    await desk.send_all()
    assert monitoring.ids[-1] == fresh


async def test_an_alert_outlives_the_process_that_was_sending_it(desk: Desk, monitoring: Monitoring) -> None:
    """A try that ended with its process is made again by the next one: once its time is over, not beside it."""
    alert_id = await desk.raise_one()
    now = desk.world.clock()
    claimed = await desk.world.database.write(
        lambda transaction: alerts.claim(transaction, at=now, until=now + timedelta(seconds=30))
    )
    assert claimed is not None
    await desk.send_all()
    assert monitoring.ids == []
    desk.world.clock.advance(seconds=31)
    await desk.send_all()
    assert monitoring.ids == [alert_id]


async def test_a_clock_that_goes_back_holds_no_alert_up(desk: Desk, monitoring: Monitoring) -> None:
    """What was put off by a clock hours ahead is sent at once, not hours later."""
    monitoring.answers = [500]
    alert_id = await desk.raise_one()
    await desk.send_all()
    desk.world.clock.advance(hours=-5)
    await desk.send_all()
    assert (monitoring.ids, await desk.waiting()) == ([alert_id, alert_id], 0)


async def test_neither_log_nor_database_tells_the_address_or_the_secret(desk: Desk, monitoring: Monitoring) -> None:
    """Whatever goes wrong, no line holds the password, the path or the secret; a repr does not either."""
    monitoring.answers = [500, "cut", "redirect"]
    with capture_logs() as logs:
        await desk.raise_one()
        for _ in range(3):
            await desk.send_all()
            desk.world.clock.advance(seconds=60)
    rows = await desk.world.database.read(
        lambda transaction: transaction.exec_driver_sql("SELECT last_error FROM alerts").all()
    )
    settings = AlertSettings.model_validate({"webhook": {"url": str(monitoring.url), "secret_file": "s"}})
    told = f"{logs} {rows} {desk.webhook._terms!r} {settings!r}"
    assert "alert.unsent" in told
    assert not any(word in told for word in ("pass-word", "path-that-is-secret", SECRET.decode()))


async def test_the_service_sends_as_soon_as_an_alert_is_raised(desk: Desk, monitoring: Monitoring) -> None:
    """The alert wakes the service, long before it would look by itself."""
    stop = asyncio.Event()
    service = webhook_service(desk.webhook, desk.world.exchange.wakeups, recheck=60)
    running = asyncio.create_task(service(stop))
    await asyncio.sleep(0.05)
    await desk.raise_one()
    await asyncio.wait_for(monitoring.called.wait(), 30)
    stop.set()
    desk.world.exchange.wakeups.wake_all()
    await asyncio.wait_for(running, 30)


async def test_tries_are_counted_by_how_they_ended(desk: Desk, monitoring: Monitoring) -> None:
    """The operator's metrics show a webhook that takes nothing."""
    monitoring.answers = [503]
    await desk.raise_one()
    await desk.send_all()
    desk.world.clock.advance(seconds=60)
    await desk.send_all()
    posts = {result: desk.meters.webhook_posts.labels(result)._value.get() for result in ("taken", "failed")}
    assert posts == {"taken": 1, "failed": 1}


@pytest.mark.parametrize(
    ("content", "mode", "code"), [(SECRET, 0o640, "secret-permissions"), (b"short\n", 0o600, "secret-short")]
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: bytes, mode: int, code: str) -> None:
    """A secret that others can read, or could guess, signs nothing."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(Rejected) as caught:
        read_secret(file, least=16)
    assert caught.value.code == code


@pytest.mark.parametrize("webhook", [{"url": "https://x.example/"}, {"url": "ftp://u:p@x/", "secret_file": "s"}])
def test_a_webhook_that_cannot_be_signed_or_called_is_no_setting(webhook: dict[str, str]) -> None:
    """No address without a secret, and none but http and https."""
    with pytest.raises(ValueError, match=r"secret_file must be set|no web address") as caught:
        AlertSettings.model_validate({"webhook": webhook})
    assert "u:p" not in str(caught.value)
