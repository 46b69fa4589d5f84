"""Groups of recipients: kept by the operator, told by the signed directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.foundation import Foundation
from hub.usecases.agencies import NewAgency
from schemas.codes import AgencyCode
from schemas.directory import GroupEntry
from schemas.errors import Rejected
from schemas.recipients import parse_recipient
from tests.hub.admin.test_agencies import history
from tests.hub.admin.test_commands import Command, answer, command, place, refusal

__all__ = ["command", "place"]

MEMBERS = tuple(map(parse_recipient, ("H23", "H31.*")))


@pytest.fixture
async def known(office: Foundation) -> Foundation:
    for code in ("H23", "H31"):
        await office.agencies.add(NewAgency(AgencyCode(code), code), actor="test")
    return office


async def test_each_change_of_a_group_is_one_signed_version(known: Foundation) -> None:
    """Made, changed, withdrawn: the directory holds the whole group each time, at last without members."""
    await known.groups.add("tinh", "Các tỉnh", MEMBERS, actor="test")
    await known.groups.change("tinh", add=[parse_recipient("H23.*")], remove=[AgencyCode("H23")], actor="test")
    await known.groups.remove("tinh", actor="test")
    told = [version.groups for version in await history(known) if version.groups]
    assert told == [
        (GroupEntry(group="tinh", title="Các tỉnh", members=members),)
        for members in (("H23", "H31.*"), ("H23.*", "H31.*"), ())
    ]


async def test_a_change_that_changes_nothing_publishes_nothing(known: Foundation) -> None:
    """A member that is there already costs no version."""
    await known.groups.add("tinh", "Các tỉnh", MEMBERS, actor="test")
    before = len(await history(known))
    changed = await known.groups.change("tinh", add=MEMBERS, remove=(), actor="test")
    assert (changed.version, len(await history(known))) == (None, before)


@pytest.mark.parametrize(
    ("name", "members", "code"),
    [
        ("Tỉnh", ["H23"], "selector-malformed"),
        ("tinh", [], "group-empty"),
        ("tinh", ["H99"], "member-unknown"),
        ("tinh", ["@khac"], "member-malformed"),
        ("da-co", ["H23"], "group-exists"),
    ],
)
async def test_what_is_no_group_is_refused(known: Foundation, name: str, members: list[str], code: str) -> None:
    """A name people cannot type, nobody in it, a code that nobody has, a group in a group, a name that is taken."""
    await known.groups.add("da-co", "Đã có", MEMBERS, actor="test")
    with pytest.raises(Rejected) as raised:
        await known.groups.add(name, "Tên", list(map(parse_recipient, members)), actor="test")
    assert raised.value.code == code


def test_groups_are_kept_by_commands(command: Command, tmp_path: Path) -> None:
    """Made from a file and the command line, shown, listed, changed, withdrawn."""
    for code in ("H23", "H31"):
        command("agency", "add", code, "--name", code)
    file = tmp_path / "members.txt"
    file.write_text("# tỉnh\nH31\n\nH23.*\n", "utf-8")
    made = answer(command("group", "add", "tinh", "H23", "--title", "Các tỉnh", "--file", str(file), "--json"))
    assert made["members"] == ["H23", "H23.*", "H31"]
    assert "H23.*" in command("group", "show", "tinh").output
    assert "@tinh" in command("group", "list").output
    changed = answer(command("group", "change", "tinh", "--remove", "H23", "--json"))
    assert (changed["members"], changed["directory_version"]) == (["H23.*", "H31"], made["directory_version"] + 1)
    assert refusal(command("group", "change", "tinh", "--remove", "H23")).code == "member-unknown"
    assert "withdrawn" in command("group", "remove", "tinh").output
    assert refusal(command("group", "show", "tinh")).code == "group-unknown"
