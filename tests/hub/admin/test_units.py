"""Units that connections declare and retire themselves, by the operator's policy."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from hub.foundation import Foundation, open_foundation
from hub.settings import HubFolder
from hub.settings_units import UnitPolicy, UnitSettings
from hub.usecases.agencies import NewAgency
from hub.usecases.units import Units
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected, Unavailable
from tests.hub.admin.conftest import Clock, Node, RunningHub, enrol
from tests.hub.admin.test_agencies import history
from tests.hub.admin.test_commands import Command, answer, command, place, refusal
from transport.wire import UnitForm, UnitState

__all__ = ["command", "place"]

UNIT = AgencyCode("H23.12")
LEGAL = UnitForm(name="Sở Tư pháp", mail="stp@haiduong.gov.vn", phone="0220 3853 000")


@pytest.fixture
async def known(office: Foundation) -> Foundation:
    """H23 with an older code, H31, and H23.9, which has a node of its own."""
    await office.agencies.add(NewAgency(AgencyCode("H23"), "H23", (AgencyCode("000.00.00.H23"),)), actor="test")
    await office.agencies.add(NewAgency(AgencyCode("H23.9"), "H23.9"), actor="test")
    await office.agencies.add(NewAgency(AgencyCode("H31"), "H31"), actor="test")
    return office


def units_of(office: Foundation, policy: UnitPolicy = UnitPolicy.AT_ONCE, **limits: int) -> Units:
    settings = UnitSettings(policy=policy, **limits)
    return dataclasses.replace(office.units, settings=settings)


async def test_a_unit_is_declared_renamed_and_retired_at_once(known: Foundation) -> None:
    """Each is one version of the directory that names the connection as who did it; the same again is none."""
    units = units_of(known)
    for _ in range(2):
        declared = await units.declare("H23", UNIT, LEGAL)
    assert (declared.state, declared.directory_version) == (UnitState.DONE, None)
    await units.declare("H23", UNIT, UnitForm(name="Sở Tư pháp Hải Dương"))
    for _ in range(2):
        await units.retire("H23", UNIT)
    told = [entry for version in await history(known) for entry in version.agencies if entry.code == UNIT]
    assert [(entry.name, entry.connection, entry.status) for entry in told] == [
        ("Sở Tư pháp", "H23", EntryStatus.ACTIVE),
        ("Sở Tư pháp Hải Dương", "H23", EntryStatus.ACTIVE),
        ("Sở Tư pháp Hải Dương", "H23", EntryStatus.RETIRED),
    ]
    view = await known.agencies.view(UNIT)
    assert [(entry.actor, entry.action) for entry in reversed(view.history)] == [
        ("connection H23", "agency.added"),
        ("connection H23", "agency.renamed"),
        ("connection H23", "agency.retired"),
    ]


async def test_nobody_reaches_beyond_the_own_agencies(known: Foundation) -> None:
    """Not another's codes, not the own agency itself, not below a unit that has a node of its own."""
    units = units_of(known)
    for text, code_of_refusal in (
        ("H31.1", "unit-not-below"),
        ("H23", "unit-not-below"),
        ("H24.1", "unit-not-below"),
        ("H23.9", "code-taken"),
        ("H23.9.1", "unit-not-below"),
        ("000.00.12.H31", "unit-not-below"),
        ("cong.van", "unit-not-below"),
    ):
        code = AgencyCode(text)
        with pytest.raises(Rejected) as declared:
            await units.declare("H23", code, LEGAL)
        with pytest.raises(Rejected) as retired:
            await units.retire("H23", code)
        assert (text, declared.value.code, retired.value.code) == (text, code_of_refusal, code_of_refusal)


async def test_a_unit_below_an_older_code_is_below_its_agency(known: Foundation) -> None:
    """The directory's table relates the two forms: 000.00.12.H23 stands below H23's older code."""
    declared = await units_of(known).declare("H23", AgencyCode("000.00.12.H23"), LEGAL)
    assert declared.state is UnitState.DONE


async def test_a_suspended_agency_declares_nothing(known: Foundation) -> None:
    """Who is suspended cannot make a unit and go on as that."""
    await known.agencies.set_status(AgencyCode("H23"), EntryStatus.SUSPENDED, actor="test")
    with pytest.raises(Rejected) as raised:
        await units_of(known).declare("H23", UNIT, LEGAL)
    assert raised.value.code == "unit-not-below"


async def test_a_retired_code_is_not_declared_again(known: Foundation) -> None:
    """Its documents stay under it."""
    units = units_of(known)
    await units.declare("H23", UNIT, LEGAL)
    await units.retire("H23", UNIT)
    with pytest.raises(Rejected) as raised:
        await units.declare("H23", UNIT, LEGAL)
    assert raised.value.code == "agency-retired"


async def test_under_approval_nothing_changes_before_the_operators_word(known: Foundation) -> None:
    """The wish waits, is taken back by a DELETE, waits anew, and is granted by the operator."""
    units = units_of(known, UnitPolicy.APPROVAL)
    before = len(await history(known))
    assert (await units.declare("H23", UNIT, LEGAL)).state is UnitState.AWAITING_APPROVAL
    assert (await units.retire("H23", UNIT)).state is UnitState.DONE
    assert [request async for request in known.unit_requests.listing()] == []
    for _ in range(2):
        assert (await units.declare("H23", UNIT, LEGAL)).state is UnitState.AWAITING_APPROVAL
    assert len(await history(known)) == before
    granted = await known.unit_requests.approve(UNIT, actor="root")
    assert (granted.request.mail, granted.version) == (LEGAL.mail, before + 1)
    assert (await units.declare("H23", UNIT, LEGAL)).state is UnitState.DONE
    assert (await units.retire("H23", UNIT)).state is UnitState.AWAITING_APPROVAL
    assert (await known.agencies.view(UNIT)).entry.status is EntryStatus.ACTIVE
    await known.unit_requests.approve(UNIT, actor="root")
    assert (await known.agencies.view(UNIT)).entry.status is EntryStatus.RETIRED


async def test_what_was_refused_is_refused_again_with_the_reason(known: Foundation) -> None:
    """The same wish is answered with the operator's word, another one waits anew."""
    units = units_of(known, UnitPolicy.APPROVAL)
    await units.declare("H23", UNIT, LEGAL)
    await known.unit_requests.refuse(UNIT, "Chưa có quyết định thành lập.", actor="root")
    with pytest.raises(Rejected) as raised:
        await units.declare("H23", UNIT, LEGAL)
    assert raised.value.code == "unit-refused"
    assert "Chưa có quyết định" in raised.value.message
    other = await units.declare("H23", UNIT, UnitForm(name="Sở Nội vụ"))
    assert other.state is UnitState.AWAITING_APPROVAL


async def test_a_wish_is_judged_anew_when_it_is_granted(known: Foundation) -> None:
    """What another got meanwhile, by the operator's hand, is not taken from it."""
    await units_of(known, UnitPolicy.APPROVAL).declare("H23", UNIT, LEGAL)
    await known.agencies.add(NewAgency(UNIT, "another"), actor="test")
    with pytest.raises(Rejected) as raised:
        await known.unit_requests.approve(UNIT, actor="root")
    assert raised.value.code == "code-taken"


async def test_a_hub_can_refuse_all_of_it(known: Foundation) -> None:
    """By the policy `refused` the operator alone changes agencies."""
    with pytest.raises(Rejected) as raised:
        await units_of(known, UnitPolicy.REFUSED).declare("H23", UNIT, LEGAL)
    assert raised.value.code == "units-not-allowed"


async def test_a_connection_has_bounds(known: Foundation, clock: Clock) -> None:
    """Agencies of its own, requests that wait, changes in a day: each has an end, and the day's ends with the day."""
    with pytest.raises(Rejected) as many:
        await units_of(known, per_connection=1).declare("H23", UNIT, LEGAL)
    assert many.value.code == "units-too-many"
    waiting = units_of(known, UnitPolicy.APPROVAL, requests=1)
    await waiting.declare("H23", UNIT, LEGAL)
    with pytest.raises(Unavailable) as full:
        await waiting.declare("H23", AgencyCode("H23.13"), LEGAL)
    assert full.value.code == "too-many-requests"
    daily = units_of(known, changes_per_day=3)
    for number in range(2):
        await daily.declare("H23", AgencyCode(f"H23.2{number}"), LEGAL)
    with pytest.raises(Unavailable) as spent:
        await daily.declare("H23", AgencyCode("H23.29"), LEGAL)
    assert spent.value.retry_after is not None
    clock.advance(timedelta(seconds=spent.value.retry_after))
    assert (await daily.declare("H23", AgencyCode("H23.29"), LEGAL)).state is UnitState.DONE


async def test_refused_wishes_do_not_pile_up(known: Foundation) -> None:
    """Of one connection no more of them are kept than requests may wait."""
    units = units_of(known, UnitPolicy.APPROVAL, requests=2)
    for number in range(6):
        code = AgencyCode(f"H23.3{number}")
        await units.declare("H23", code, LEGAL)
        await known.unit_requests.refuse(code, "no", actor="root")
    # Two older ones, and the one refused since the last was asked for.
    assert len([request async for request in known.unit_requests.listing(refused=True)]) == 3


async def test_the_calls_go_over_the_wire(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> None:
    """PUT and DELETE by a node's client: what waits, what is done, and what is refused arrive as such."""
    added = await hub.office.agencies.add(NewAgency(AgencyCode("H23"), "H23"), actor="test")
    assert added.token is not None
    node = Node.make(tmp_path_factory.mktemp("node"))
    enrolled = await enrol(hub.url, added.token.text, node.request)
    async with node.speaking(hub.url, enrolled) as client:
        assert (await client.declare_unit(UNIT, LEGAL)).state is UnitState.AWAITING_APPROVAL
        assert (await client.retire_unit(UNIT)).state is UnitState.DONE
        with pytest.raises(Rejected) as unknown:
            await client.retire_unit(UNIT)
        assert unknown.value.code == "unit-unknown"
        with pytest.raises(Rejected) as malformed:
            await client.declare_unit(UNIT, UnitForm(name="hai\ndòng"))
        assert malformed.value.code == "name-malformed"


def test_the_operator_decides_by_commands(command: Command, place: Path) -> None:
    """What waits is listed, approved and refused; then nothing waits."""

    async def ask() -> None:
        async with open_foundation(HubFolder(place)) as office:
            for code in ("H23.12", "H23.13"):
                await units_of(office, UnitPolicy.APPROVAL).declare("H23", AgencyCode(code), LEGAL)

    command("agency", "add", "H23", "--name", "Hải Dương")
    asyncio.run(ask())
    assert {"H23.12", "H23.13", LEGAL.mail} <= set(command("agency", "requests").output.replace("│", " ").split())
    assert answer(command("agency", "approve", "H23.12", "--json"))["directory_version"] == 3
    assert answer(command("agency", "show", "H23.12", "--json"))["name"] == LEGAL.name
    assert answer(command("agency", "refuse", "H23.13", "--reason", "Chưa", "--json"))["reason"] == "Chưa"
    assert "Nothing waits" in command("agency", "requests").output
    assert answer(command("agency", "requests", "--refused", "--json"))["code"] == "H23.13"
    assert refusal(command("agency", "approve", "H23.12")).code == "unit-request-unknown"
