"""Services that fail are started again; the program goes on."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from prometheus_client import CollectorRegistry, Counter

from runtime.lifecycle import run_services
from runtime.supervision import RestartTerms, Supervisor
from schemas.errors import Unavailable

TERMS = RestartTerms(first=0.001, longest=0.002, settled=3600.0)


class Brittle:
    """A service that ends in each of the ways of `endings`, then runs until it is stopped."""

    def __init__(self, *endings: Exception | None) -> None:
        self.endings = list(endings)
        self.steady = asyncio.Event()

    async def __call__(self, stop: asyncio.Event) -> None:
        if self.endings:
            ending = self.endings.pop(0)
            if ending is not None:
                raise ending
            return
        self.steady.set()
        await stop.wait()


def supervisor(registry: CollectorRegistry, terms: RestartTerms = TERMS) -> Supervisor:
    return Supervisor(Counter("restarts", "Restarts.", ("service",), registry=registry), Random(7), terms)


async def test_a_service_that_fails_is_started_again_and_the_others_go_on() -> None:
    """An error that nobody foresaw, or an end that nobody asked for, ends neither the service nor its neighbours."""
    registry = CollectorRegistry()
    keeper = supervisor(registry)
    brittle, neighbour, stop = Brittle(ZeroDivisionError("x"), None, OSError("y")), Brittle(), asyncio.Event()
    services = {"brittle": keeper.keep("brittle", brittle), "neighbour": keeper.keep("neighbour", neighbour)}
    running = asyncio.create_task(run_services(services, stop, grace=1))
    await asyncio.wait_for(brittle.steady.wait(), 10)
    assert registry.get_sample_value("restarts_total", {"service": "brittle"}) == 3
    assert registry.get_sample_value("restarts_total", {"service": "neighbour"}) is None
    with pytest.raises(Unavailable, match=r"brittle: OSError: y") as raised:
        await keeper.all_run()
    assert raised.value.code == "service-failed"
    stop.set()
    await running


async def test_a_service_that_has_run_long_enough_is_well_again() -> None:
    """Readiness forgets a fault once its service has run on without another."""
    keeper = supervisor(CollectorRegistry(), RestartTerms(first=0.001, longest=0.002, settled=0.0))
    brittle, stop = Brittle(ZeroDivisionError()), asyncio.Event()
    running = asyncio.create_task(keeper.keep("brittle", brittle)(stop))
    await asyncio.wait_for(brittle.steady.wait(), 10)
    await keeper.all_run()
    stop.set()
    await running


async def test_what_cannot_start_ends_the_program() -> None:
    """A listener whose address is in use fails at once, for whoever starts the program to see."""
    keeper = supervisor(CollectorRegistry())
    listener = keeper.keep("http", Brittle(Unavailable("address-in-use", "It is in use.")), must_start=True)
    with pytest.raises(Unavailable, match="in use"):
        await run_services({"http": listener}, asyncio.Event(), grace=1)
