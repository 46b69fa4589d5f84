"""The directory in the API's three shapes, and units declared and retired."""

from __future__ import annotations

import pytest

from adapters.sdk import DeclaredUnit, UnitStanding
from schemas.directory import EntryStatus
from schemas.errors import Unavailable
from tests.adapters.simulator import code
from tests.adapters.vxp.conftest import Site
from tests.adapters.vxp.node import entry

ENTRIES = [
    entry("000.01.32.H53", "Xã cũ"),
    entry("G22", "Văn phòng Chính phủ", "000.00.00.G22"),
    entry("G22.01", 'Vụ "Hành chính"'),
    entry("G22.02", "Vụ nghỉ", status=EntryStatus.SUSPENDED),
    entry("H23", "UBND tỉnh Hải Dương", "vxp.hai.duong", "000.00.00.H23"),
    entry("H23.12.3", "Phường"),
]


@pytest.fixture(autouse=True)
def _directory(site: Site) -> None:
    site.node.entries = list(ENTRIES)


async def test_the_list_of_agencies(site: Site) -> None:
    """Active agencies, each with the six members that the SDK reads, its parent by code, its first older code."""
    rows = (await site.client().post("getAgenciesList")).ok["data"]
    assert [row["code"] for row in rows] == ["000.01.32.H53", "G22", "G22.01", "H23", "H23.12.3"]
    assert rows[1] == {
        "id": "G22", "pid": "", "code": "G22", "name": "Văn phòng Chính phủ", "mail": "", "oldCode": "000.00.00.G22",
    }  # fmt: skip
    assert rows[2]["pid"] == "G22"


@pytest.mark.parametrize(
    ("level", "codes"),
    [
        ({}, ["G22", "G22.01", "H23", "H23.12.3"]),
        ({"level": "1"}, ["G22", "H23"]),
        ({"level": "2"}, ["G22.01"]),
        ({"level": "9"}, []),
    ],
)
async def test_the_list_of_todays_codes(site: Site, level: dict[str, str], codes: list[str]) -> None:
    """Codes of QD 20/2020 alone, of one level if it is asked for, with the code of QCVN 102 among the older ones."""
    rows = (await site.client().post("getAgenciesListQD20", **level)).ok["data"]
    assert [row["code"] for row in rows] == codes
    assert all(set(row) == {"id", "code", "name", "mail", "code102"} for row in rows)
    assert {row["code"]: row["code102"] for row in rows}.get("H23", "000.00.00.H23") == "000.00.00.H23"


async def test_a_level_that_is_none_is_refused(site: Site) -> None:
    """A word in the place of a level is an error, not the whole country."""
    assert (await site.client().post("getAgenciesListQD20", level="tinh")).failure["ErrorCode"] == "400"


async def test_the_list_for_synchronising(site: Site) -> None:
    """Units with their place in the tree; every member is there, truth values are such, what nobody knows is empty."""
    rows = (await site.client().post("getSynchronizeUnit")).ok["data"]
    assert rows[-1] == {
        "id": "H23.12.3", "pid": "H23.12", "code": "H23.12.3", "name": "Phường", "mail": "", "centerCode": "H23",
        "version": 0, "modifyDate": "", "deleted": False, "isAgency": True,
    }  # fmt: skip


async def test_a_list_streams_the_whole_country(site: Site) -> None:
    """A directory of many pages is one list, in its order, each agency once."""
    site.node.entries = [entry(f"H23.{number}", f"Đơn vị {number}") for number in range(10_000, 12_500)]
    rows = (await site.client().post("getAgenciesList")).ok["data"]
    assert [row["code"] for row in rows] == [one.code.value for one in site.node.entries]


async def test_a_directory_that_has_not_come_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything was answered an error is told in the envelope; later the answer breaks off."""
    pages = iter([[entry("H23", "a")] * 1000])

    async def page(**_: object) -> object:
        if (one := next(pages, None)) is None:
            raise Unavailable("directory-missing", "No version of the directory has come yet.")
        return one

    monkeypatch.setattr(site.node, "agencies", page)
    assert (await site.client().post("getAgenciesList")).broken
    assert (await site.client().post("getAgenciesList")).failure["ErrorCode"] == "503"


UNIT = '{"id":"7","pcode":"G22","code":" G22.99 ","name":"Vụ mới","mail":"a@b.vn","mobile":12,"fax":null}'


async def test_a_unit_is_declared(site: Site) -> None:
    """registerAgency takes the JSON that the vendor's example sends."""
    assert (await site.client().post("registerAgency", UNIT.encode())).ok
    unit = DeclaredUnit(code=code("G22.99"), name="Vụ mới", mail="a@b.vn", phone="12")
    assert site.node.units == {code("G22.99"): unit}


async def test_a_unit_that_waits_for_the_operator_is_told(site: Site) -> None:
    """Where the hub's operator decides, the answer says yes, and that it waits."""
    site.node.standing = UnitStanding.AWAITING_APPROVAL
    answer = (await site.client().post("registerAgency", UNIT.encode())).envelope
    assert (answer["status"], answer["ErrorCode"]) == ("OK", "0")
    assert "approval" in answer["ErrorDesc"]


async def test_a_unit_is_retired(site: Site) -> None:
    """deleteAgency names the unit by the parameter AgencyCode."""
    assert (await site.client().post("deleteAgency", b"{}", AgencyCode="G22.99")).ok
    assert site.node.retired == [code("G22.99")]


@pytest.mark.parametrize("foreign", ["G22", "H23.99", "G2", "G22X.1"])
async def test_units_are_below_the_systems_own_agencies(site: Site, foreign: str) -> None:
    """Neither its own agency nor another's unit can a system declare or retire."""
    for answer in (
        await site.client().post("registerAgency", UNIT.replace("G22.99", foreign).encode()),
        await site.client().post("deleteAgency", b"{}", AgencyCode=foreign),
    ):
        assert answer.failure["ErrorCode"] in ("403", "400")
    assert (site.node.units, site.node.retired) == ({}, [])


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"\xff", b'{"code":"G22.99"}', b'{"code":[],"name":"a"}', b"x" * 70000]
)
async def test_a_unit_that_cannot_be_read_is_refused(site: Site, body: bytes) -> None:
    """A body that is no object with code and name, or far too long, declares nothing."""
    assert (await site.client().post("registerAgency", body)).failure["ErrorCode"] in ("400", "413")
    assert site.node.units == {}


async def test_a_deletion_names_its_unit(site: Site) -> None:
    """Without AgencyCode nothing is retired."""
    assert "agencycode" in (await site.client().post("deleteAgency", b"{}")).failure["ErrorDesc"]
