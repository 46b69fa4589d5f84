"""A directory from a CSV file: all of it in one version or nothing, each bad row named, and the same file twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.foundation import Foundation
from hub.usecases.agencies import NewAgency
from hub.usecases.agency_file import FileRow, RowFault, read_agency_file
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, ConnectionEntry, EntryStatus
from schemas.errors import Rejected
from tests.hub.admin.test_agencies import history
from tests.hub.admin.test_commands import Command, answer, command, place

__all__ = ["command", "place"]

FILE = """code,name,older_codes,connection
H23,UBND tỉnh Hải Dương,000.00.00.H23,

H23.12,Sở Tư pháp,000.00.12.H23 001.00.12.H23,H23
G22,"Văn phòng Chính phủ, Hà Nội",,
"""


def _rows(text: str) -> list[FileRow | RowFault]:
    return list(read_agency_file(text.splitlines(keepends=True)))


async def test_a_file_becomes_one_version_and_changes_nothing_the_second_time(office: Foundation) -> None:
    """Agencies, older codes and connections of their own are in one signed version; a repeat publishes none."""
    before = len(await history(office))
    done = await office.agency_import.carry_out(_rows(FILE), actor="test")
    versions = await history(office)
    assert (done.version, len(versions)) == (before + 1, before + 1)
    assert versions[-1].agencies == (
        AgencyEntry(
            code=AgencyCode("H23"),
            name="UBND tỉnh Hải Dương",
            older_codes=(AgencyCode("000.00.00.H23"),),
            connection="H23",
        ),
        AgencyEntry(
            code=AgencyCode("H23.12"),
            name="Sở Tư pháp",
            older_codes=(AgencyCode("000.00.12.H23"), AgencyCode("001.00.12.H23")),
            connection="H23",
        ),
        AgencyEntry(code=AgencyCode("G22"), name="Văn phòng Chính phủ, Hà Nội", connection="G22"),
    )
    assert versions[-1].connections == (
        ConnectionEntry(connection="H23", name="UBND tỉnh Hải Dương"),
        ConnectionEntry(connection="G22", name="Văn phòng Chính phủ, Hà Nội"),
    )
    assert (await office.agencies.view(AgencyCode("001.00.12.H23"))).entry == versions[-1].agencies[1]
    again = await office.agency_import.carry_out(_rows(FILE), actor="test")
    assert (again.version, again.plan.unchanged, len(await history(office))) == (None, 3, before + 1)


async def test_a_file_renames_and_adds_older_codes(office: Foundation) -> None:
    """What differs is changed; an older code that the file leaves out stays, and so does the connection."""
    await office.agency_import.carry_out(_rows(FILE), actor="test")
    changed = "name;code;older_codes\nTỉnh Hải Dương;H23;001.00.00.H23\n"
    done = await office.agency_import.carry_out(_rows("\ufeff" + changed), actor="test")
    assert [len(done.plan.added), len(done.plan.changed)] == [0, 1]
    entry = (await office.agencies.view(AgencyCode("H23"))).entry
    assert (entry.name, [code.value for code in entry.older_codes], entry.connection) == (
        "Tỉnh Hải Dương",
        ["000.00.00.H23", "001.00.00.H23"],
        "H23",
    )


async def test_each_bad_row_is_named_and_nothing_is_imported(office: Foundation) -> None:
    """A row at fault tells its line and the rule; the good rows beside it wait as well."""
    await office.agency_import.carry_out(_rows(FILE), actor="test")
    await office.agencies.add(NewAgency(AgencyCode("H31"), "Hưng Yên"), actor="test")
    await office.agencies.set_status(AgencyCode("H31"), EntryStatus.RETIRED, actor="test")
    await office.connections.add("H14", "H14", actor="test")
    before = len(await history(office))
    bad = _rows(
        "code,name,older_codes,connection\n"
        "H40,Good,,\n"
        "h41,small letters,,\n"
        "H42,,,\n"
        "H43,two,000.00.12.H23,\n"
        "H44,unknown connection,,nobody\n"
        "H40,again,,\n"
        "H23,moved,,G22\n"
        "H31,retired,,\n"
        "H14,has a connection,,\n"
        "H45,one,field,too,many\n"
        "H46,no such name of a connection,,no\0body\n"
        'H47,"open\n'
        "H48,taken along\n"
    )
    done = await office.agency_import.carry_out(bad, actor="test")
    assert [(fault.line, fault.rule) for fault in done.plan.faults] == [
        (3, "malformed-code"),
        (4, "name-malformed"),
        (5, "code-taken"),
        (6, "connection-unknown"),
        (7, "code-repeated"),
        (8, "agency-moved"),
        (9, "agency-retired"),
        (10, "connection-exists"),
        (11, "csv-fields"),
        (12, "connection-unknown"),
        (13, "csv-malformed"),
    ]
    assert all(fault.mend for fault in done.plan.faults)
    assert done.version is None
    assert len(await history(office)) == before


@pytest.mark.parametrize("head", ["code\n", "code,name,email\n", "code,name,name\n", ""])
def test_a_file_without_its_line_of_names_is_refused(head: str) -> None:
    """Missing, unknown and doubled columns are said before any row is read."""
    with pytest.raises(Rejected) as raised:
        _rows(head + "H23,Hải Dương\n")
    assert raised.value.code == "csv-header"


async def test_a_change_meanwhile_is_judged_anew(office: Foundation, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agency that somebody admits while the version is signed is found by the next look, and not added twice."""
    rows, register = _rows(FILE), office.agency_import
    check = type(register).check
    looks = 0

    async def checked(self: object, *arguments: object, **options: object) -> object:
        nonlocal looks
        plan = await check(self, *arguments, **options)  # type: ignore[arg-type]
        looks += 1
        if looks == 1:
            await office.agencies.add(NewAgency(AgencyCode("G22"), "Văn phòng Chính phủ, Hà Nội"), actor="other")
        return plan

    monkeypatch.setattr(type(register), "check", checked)
    done = await register.carry_out(rows, actor="test")
    assert (looks, len(done.plan.added), done.plan.unchanged) == (2, 2, 1)


def test_the_command_checks_imports_and_says_what_is_wrong(command: Command, tmp_path: Path) -> None:
    """--check writes nothing, an import tells its version, a bad file ends with 1 and its lines; names are searched."""
    file = tmp_path / "agencies.csv"
    file.write_text(FILE, "utf-8")
    assert "3 agencies to admit" in command("agency", "import", str(file), "--check").output
    assert command("agency", "list").output.strip() == "No agency."
    done = answer(command("agency", "import", str(file), "--json"))
    assert (done["added"], done["connections"], done["directory_version"]) == (3, ["H23", "G22"], 2)
    assert "Sở Tư pháp" in command("agency", "list", "--search", "so tu phap").output
    assert "H23.12" not in command("agency", "list", "--search", "hai duong").output
    file.write_text("code,name\nh1,x\n", "utf-8")
    refused = command("agency", "import", str(file))
    assert refused.exit_code == 1
    assert "malformed-code" in refused.output
    file.write_bytes(b"code,name\nH1,\xff\n")
    wrong = command("agency", "import", str(file)).exception
    assert isinstance(wrong, Rejected)
    assert wrong.code == "csv-encoding"
