"""Adapters in a node: which one hands over to whom."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest

from adapters.sdk import Accepted, Delivery, Guarantee, Health, Later, MessageKind, Outcome, Refused
from node.adapter_tables import Assignment, OpenAdapters, require_assignable
from node.usecases.adapter_calls import AdapterCalls, Connected
from node.usecases.handover import Addressed
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
    connected = OpenAdapters(adapters, tables).route(Addressed(AgencyCode(code)))
    assert connected == Connected(expected, adapters[expected])


def test_without_an_adapter_for_it_an_agency_has_none() -> None:
    """Where every adapter has its own codes, another agency's documents wait, and go to nobody else."""
    adapters = {"province": Recorder()}
    assert OpenAdapters(adapters, {"province": assignment(["H23"])}).route(Addressed(AgencyCode("H31"))) is None


def test_an_adapter_at_anothers_desk_stands_beside_that() -> None:
    """A table with a `desk` takes no part in the routing: the other one stays the adapter for all agencies."""
    adapters = {name: Recorder() for name in ("rest", "vxp", "other")}
    tables = {
        "rest": settings_of(Assignment, {"desk": "vxp"}, source="test"),
        "vxp": assignment(None),
        "other": assignment(["H31"]),
    }
    beside = (Connected("rest", adapters["rest"]),)
    opened = OpenAdapters(adapters, tables)
    assert opened.route(Addressed(AgencyCode("H23"))) == Connected("vxp", adapters["vxp"], beside)
    assert opened.route(Addressed(AgencyCode("H31"))) == Connected("other", adapters["other"])


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


CONGVAN, LAW = "Công văn", "Nghị định"


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (Addressed(AgencyCode("H23"), AgencyCode("H31"), MessageKind.DOCUMENT, CONGVAN), "all"),
        (Addressed(AgencyCode("H23"), AgencyCode("H31"), MessageKind.DOCUMENT, "  NGHỊ  ĐỊNH "), "laws"),
        (Addressed(AgencyCode("H23"), AgencyCode("G22.3"), MessageKind.DOCUMENT, LAW), "government"),
        (Addressed(AgencyCode("H23"), AgencyCode("H31"), MessageKind.STATUS), "statuses"),
        (Addressed(AgencyCode("H23.12"), AgencyCode("G22"), MessageKind.DOCUMENT, LAW), "health"),
    ],
)
def test_messages_are_routed_by_agency_sender_type_and_kind(to: Addressed, expected: str) -> None:
    """The longest code decides, then the longest sender's, then the type of document, then the kind of message."""
    tables = {
        "all": assignment(None),
        "health": assignment(["H23.12"]),
        "government": ruled(senders=["G22"]),
        "laws": ruled(document_types=[LAW]),
        "statuses": ruled(kinds=["status"]),
    }
    require_assignable(tables)
    adapters = {name: Recorder() for name in tables}
    assert OpenAdapters(adapters, tables).route(to) == Connected(expected, adapters[expected])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"codes": ["H23"]}, {"codes": ["H31", "H23"]}),
        ({"senders": ["G22"]}, {"senders": ["G22"]}),
        ({"document_types": ["Công văn"]}, {"document_types": ["công văn", LAW]}),
        ({"codes": ["H23"], "kinds": ["status"]}, {"codes": ["H23"], "kinds": ["document", "status"]}),
    ],
)
def test_tables_between_which_nothing_decides_are_refused(one: dict[str, object], other: dict[str, object]) -> None:
    """Two tables that name the same things alike are refused by name, before anything is handed over."""
    with pytest.raises(Rejected) as caught:
        require_assignable({"one": ruled(**one), "other": ruled(**other)})
    assert caught.value.code == "adapters-overlap"
    assert "one and other" in caught.value.message


def ruled(**table: object) -> Assignment:
    return settings_of(Assignment, table, source="test")


async def test_an_adapter_that_hangs_leaves_places_to_another_for_the_same_agency() -> None:
    """Where two share an agency, the calls of one are bounded, to one while it hangs; all are counted by outcome."""
    calls = AdapterCalls(places=2)
    released = asyncio.Event()

    class Hanging(Recorder):
        async def deliver(self, delivery: Delivery) -> Outcome:
            await released.wait()
            return Refused("x")

    slow, quick = Connected("slow", Hanging()), Connected("quick", Recorder())
    delivery = cast("Delivery", SimpleNamespace(key="k"))
    waiting = [asyncio.create_task(calls.deliver(slow, delivery, patience=60)) for _ in range(2)]
    await asyncio.sleep(0)
    assert isinstance((await calls.deliver(slow, delivery, patience=60))[0], Later)
    assert await calls.deliver(quick, delivery, patience=60) == (Accepted(), False)
    released.set()
    assert [await task for task in waiting] == [(Refused("x"), False)] * 2
    released.clear()
    assert (await calls.deliver(slow, delivery, patience=0.01))[1]
    alone = asyncio.create_task(calls.deliver(slow, delivery, patience=60))
    await asyncio.sleep(0)
    assert isinstance((await calls.deliver(slow, delivery, patience=60))[0], Later)
    released.set()
    await alone
    assert calls.counts["slow"].outcomes == {"refused": 3, "timed-out": 1}
    assert (calls.counts["quick"].outcomes, calls.counts["slow"].under_way) == ({"accepted": 1}, 0)


async def test_what_is_no_outcome_is_for_later() -> None:
    """An adapter that answers None, or raises, has not taken the message."""

    class Silent(Recorder):
        async def deliver(self, delivery: Delivery) -> Outcome:
            return None  # type: ignore[return-value]  # what foreign code may do

    calls = AdapterCalls()
    outcome, _ = await calls.deliver(Connected("a", Silent()), cast("Delivery", SimpleNamespace(key="k")), patience=9)
    assert outcome == Later("The adapter answered with a NoneType, which is no outcome.")
    assert calls.counts["a"].outcomes == {"failed": 1}
