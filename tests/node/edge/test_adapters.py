"""Adapters in a node: which one hands over to whom."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from adapters.sdk import Accepted, Delivery, Guarantee, Health, Outcome
from node.adapter_tables import Assignment, OpenAdapters, require_assignable
from node.usecases.handover import Connected
from runtime.settings import settings_of
from schemas.codes import AgencyCode
from schemas.errors import Rejected


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


def test_an_adapter_at_anothers_desk_is_handed_over_nothing() -> None:
    """A table with a `desk` takes no part in the routing: the other one stays the adapter for all agencies."""
    adapters = {name: Recorder() for name in ("rest", "vxp")}
    tables = {"rest": settings_of(Assignment, {"desk": "vxp"}, source="test"), "vxp": assignment(None)}
    assert OpenAdapters(adapters, tables).route(AgencyCode("H23")) == Connected("vxp", adapters["vxp"])


@pytest.mark.parametrize(
    "tables",
    [
        {"rest": {"desk": "vxp"}},
        {"rest": {"desk": "rest"}},
        {"rest": {"desk": "vxp"}, "vxp": {"desk": "rest"}},
        {"rest": {"desk": "vxp", "codes": ["H23"]}, "vxp": {}},
    ],
)
def test_a_desk_is_that_of_an_adapter_that_is_handed_over_messages(tables: dict[str, dict[str, object]]) -> None:
    """A desk that nobody has, one's own, or that of a table at another desk, is an error of the settings."""
    assignments = {name: settings_of(Assignment, table, source="test") for name, table in tables.items()}
    with pytest.raises(Rejected, match="desk-unknown"):
        require_assignable(assignments)


def test_two_adapters_for_the_same_agencies_need_a_desk() -> None:
    """Two tables for all agencies are an error, unless one is at the other's desk."""
    alone = {name: settings_of(Assignment, {}, source="test") for name in ("rest", "vxp")}
    with pytest.raises(Rejected, match="adapters-overlap"):
        require_assignable(alone)
    require_assignable(alone | {"rest": settings_of(Assignment, {"desk": "vxp"}, source="test")})
