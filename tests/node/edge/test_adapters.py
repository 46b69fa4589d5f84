"""Adapters in a node: which one hands over to whom."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from adapters.sdk import Accepted, Delivery, Guarantee, Health, Outcome
from node.adapter_tables import Assignment, OpenAdapters
from node.usecases.handover import Connected
from runtime.settings import settings_of
from schemas.codes import AgencyCode


class Recorder:
    """An adapter that takes everything."""

    guarantee: ClassVar[Guarantee] = Guarantee.AT_LEAST_ONCE

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Accepted()

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

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
    connected = OpenAdapters(adapters, tables).route(AgencyCode(code))
    assert connected == Connected(expected, adapters[expected])


def test_without_an_adapter_for_it_an_agency_has_none() -> None:
    """Where every adapter has its own codes, another agency's documents wait, and go to nobody else."""
    adapters = {"province": Recorder()}
    assert OpenAdapters(adapters, {"province": assignment(["H23"])}).route(AgencyCode("H31")) is None
