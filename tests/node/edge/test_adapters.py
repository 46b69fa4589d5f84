"""Adapters in a node: which one hands over to whom, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from adapters.sdk import Accepted, Delivery, Guarantee, Health, Outcome
from node.adapter_tables import Assignment, OpenAdapters
from node.workers import supervision
from node.workers.supervision import supervised
from runtime.settings import settings_of
from schemas.codes import AgencyCode


class Recorder:
    """An adapter that ends as a source in each of the ways of `endings`, then runs until it is stopped."""

    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE

    def __init__(self, *endings: Exception | None) -> None:
        self.endings = list(endings)
        self.runs = 0

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Accepted()

    async def run(self, stop: asyncio.Event) -> None:
        self.runs += 1
        if self.endings:
            ending = self.endings.pop(0)
            if ending is not None:
                raise ending
            return
        stop.set()

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


def assignment(codes: list[str] | None) -> Assignment:
    return settings_of(Assignment, {} if codes is None else {"codes": codes}, source="test")


@pytest.mark.parametrize(
    ("code", "expected"),
    [("H23", "province"), ("H23.7", "province"), ("H23.12", "health"), ("H23.12.3", "health"), ("H31", "rest")],
)
def test_the_adapter_assigned_most_closely_hands_over(code: str, expected: str) -> None:
    """A code goes to the adapter whose `codes` name it, or the nearest code above it, else to the one without any."""
    adapters = {name: Recorder() for name in ("province", "health", "rest")}
    tables = {"province": assignment(["H23"]), "health": assignment(["H23.12"]), "rest": assignment(None)}
    assert OpenAdapters(adapters, tables).route(AgencyCode(code)) is adapters[expected]


def test_without_an_adapter_for_it_an_agency_has_none() -> None:
    """Where every adapter has its own codes, another agency's documents wait, and go to nobody else."""
    adapters = {"province": Recorder()}
    assert OpenAdapters(adapters, {"province": assignment(["H23"])}).route(AgencyCode("H31")) is None


async def test_an_adapter_that_fails_or_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that raises, or returns while nobody asked it to, is run again; the service itself does not end."""
    monkeypatch.setattr(supervision, "_FIRST_WAIT", 0.001)
    adapter = Recorder(ZeroDivisionError(), None, OSError())
    await supervised("printer", adapter)(asyncio.Event())
    assert adapter.runs == 4
