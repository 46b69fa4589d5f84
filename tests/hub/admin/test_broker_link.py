"""A running hub and its broker: how it is set up, and what the operator is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.linking import broker_address
from hub.settings import HubFolder
from hub.settings_broker import BrokerSettings
from runtime.settings import settings_of
from schemas.errors import Rejected
from tests.hub.admin.conftest import Clock, running
from tests.hub.admin.test_server import call
from tests.services.rabbitmq import RabbitMQ


def _set(folder: HubFolder, port: int, *lines: str) -> None:
    """Give the hub a broker, and a listener of its operator's."""
    text = folder.settings_file.read_text()
    head, table, tail = text.partition("[hub.operations]")
    text = head + table + tail.replace('# listen = ""', f'listen = "127.0.0.1:{port}"', 1)
    folder.settings_file.write_text(text.replace("[broker]\n", "\n".join(("[broker]", *lines)) + "\n"))


async def _readiness(port: int) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        return answer.status, await answer.json()


async def _metrics(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        return await answer.text()


@pytest.mark.timeout(300)
async def test_a_hub_links_over_tls_as_its_settings_say(
    folder: HubFolder, clock: Clock, rabbitmq: RabbitMQ, unused_tcp_port: int
) -> None:
    """Address, password file and authority lead to a link that readiness and metrics tell of."""
    (folder.root / "broker.password").write_bytes(rabbitmq.password_file.read_bytes())
    (folder.root / "broker.password").chmod(0o600)
    (folder.root / "broker.pem").write_bytes(rabbitmq.ca_file.read_bytes())
    _set(
        folder,
        unused_tcp_port,
        f'url = "{rabbitmq.tls_url}"',
        'password_file = "broker.password"',
        'ca_file = "broker.pem"',
    )
    async with running(folder, clock):
        async with asyncio.timeout(60):
            while "congvan_hub_broker_up 1.0" not in await _metrics(unused_tcp_port):  # noqa: ASYNC110 - it is at the hub
                await asyncio.sleep(0.1)
        status, report = await _readiness(unused_tcp_port)
    assert (status, report["ready"], report["degraded"]) == (200, True, False)
    assert [part["fault"] for part in report["parts"] if part["part"] == "broker"] == [None]


async def test_a_hub_without_its_broker_is_ready_and_degraded(
    folder: HubFolder, clock: Clock, unused_tcp_port_factory: Any
) -> None:
    """Where nothing listens, or nothing that speaks AMQP, the hub starts, works, and says what is missing."""
    port, nobody = unused_tcp_port_factory(), unused_tcp_port_factory()
    _set(folder, port, f'url = "amqp://congvan@127.0.0.1:{nobody}/hub"')
    async with running(folder, clock) as hub:
        status, report = await _readiness(port)
        assert await call(hub, "GET", "/readyz") == (200, {"ready": True, "degraded": True})
        assert "congvan_hub_broker_up 0.0" in await _metrics(port)
    assert (status, report["ready"], report["degraded"]) == (200, True, True)
    (broken,) = [part for part in report["parts"] if part["fault"]]
    assert (broken["part"], broken["needed"]) == ("broker", False)
    assert str(nobody) in broken["fault"]


@pytest.mark.parametrize(
    "url",
    ["amqp://user:geheim@host/", "http://user@host/", "amqp://host/hub", "amqps:///hub", "amqp://user@host/?x=geheim"],
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    """A password in the address is refused, and stands in no message."""
    with pytest.raises(Rejected) as caught:
        settings_of(BrokerSettings, {"url": url}, source="test")
    assert caught.value.code == "settings-invalid"
    assert "geheim" not in str(caught.value)


def test_no_text_of_an_address_holds_the_password(tmp_path: Path) -> None:
    """Neither the repr nor the name that logs give it."""
    (tmp_path / "password").write_text("geheim\n")
    (tmp_path / "password").chmod(0o600)
    settings = BrokerSettings.model_validate({"url": "amqp://hub@broker.test/hub", "password_file": "password"})
    address = broker_address(settings, tmp_path)
    assert address.password == "geheim"
    assert "geheim" not in repr(address) + str(address)
    assert str(address) == "amqp://broker.test:5672 (hub)"


def test_an_authority_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    """`broker-authority` names the file."""
    (tmp_path / "ca.pem").write_text("nothing")
    settings = BrokerSettings.model_validate({"url": "amqps://hub@broker.test/hub", "ca_file": "ca.pem"})
    with pytest.raises(Rejected, match=r"ca\.pem") as caught:
        broker_address(settings, tmp_path)
    assert caught.value.code == "broker-authority"
