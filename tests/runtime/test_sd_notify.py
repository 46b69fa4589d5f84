"""What a service manager hears: on a real datagram socket, from real programs."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.sd_notify import ServiceNotice, watched


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        yield channel


def environment(channel: socket.socket, **others: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": channel.getsockname(), **others}


async def test_readiness_life_and_end_are_said_in_order(manager: socket.socket) -> None:
    """READY comes with a status, then signs of life at half the time that is asked for, then STOPPING, then silence."""
    notice = ServiceNotice.from_environment(environment(manager, WATCHDOG_USEC="40000"))
    assert notice.alive_every == 0.02
    stop = asyncio.Event()
    notice.ready("hub.example.test is ready")
    async with watched(notice, stop):
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.sleep(0.05)
    heard = [said.decode() for said in iter(lambda: _heard(manager), b"")]
    assert heard[0] == "READY=1\nSTATUS=hub.example.test is ready"
    assert heard.count("STOPPING=1") == 1
    before = heard[1 : heard.index("STOPPING=1")]
    assert len(before) >= 3
    assert set(before) == {"WATCHDOG=1"}


async def test_a_blocked_event_loop_gives_no_sign_of_life(manager: socket.socket) -> None:
    """The sign comes from the event loop itself: a program that hangs is silent, and is started again."""
    notice = ServiceNotice.from_environment(environment(manager, WATCHDOG_USEC="20000"))
    async with watched(notice, asyncio.Event()):
        await asyncio.sleep(0.02)
        while _heard(manager):
            pass
        time.sleep(0.2)  # noqa: ASYNC251 - the hang is what is tested
        assert not _heard(manager)


def _heard(manager: socket.socket) -> bytes:
    try:
        return manager.recv(4096)
    except BlockingIOError:
        return b""


def test_the_abstract_namespace_is_understood() -> None:
    """systemd may name its socket with an @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        name = f"congvan-test-{os.getpid()}"
        channel.setblocking(False)
        channel.bind("\0" + name)
        ServiceNotice("@" + name).stopping()
        assert _heard(channel) == b"STOPPING=1"


@pytest.mark.parametrize(
    "variables",
    [
        {"WATCHDOG_USEC": "40000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(manager: socket.socket, variables: dict[str, str]) -> None:
    """Another process's watchdog, none, or nonsense: readiness is said, signs of life are not."""
    notice = ServiceNotice.from_environment(environment(manager, **variables), pid=4711)
    assert notice.alive_every is None
    notice.ready("x")
    assert _heard(manager).startswith(b"READY=1")


async def test_a_manager_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """Nobody at the socket, or no socket named: the program goes on."""
    for notice in (ServiceNotice(str(tmp_path / "nobody"), 0.01), ServiceNotice.from_environment({})):
        async with watched(notice, asyncio.Event()):
            notice.ready("x")
            await asyncio.sleep(0.03)
