"""The tutorial is true: its files, taken from the page, are checked by the commands of the page."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "adapters" / "tutorial.md").read_text(encoding="utf-8")

#: What makes the page's checks short; what they check stays.
SHORT = ("--kills", "2", "--huge", "8", "--json")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def checks() -> list[list[str]]:
    """The arguments of each `congvan adapter check` of the page."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line)[2:] for line in lines if line.startswith("$ congvan adapter check")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder, with the files of the page."""
    first, probe = blocks("python")
    (tmp_path / "first.py").write_text(first)
    (tmp_path / "probe.py").write_text(probe)
    [echo] = re.findall(r"^\$ echo '(.*)' > first.toml$", PAGE, flags=re.MULTILINE)
    (tmp_path / "first.toml").write_text(f"{echo}\n")
    return tmp_path


def checked(folder: Path, arguments: list[str]) -> tuple[int, dict[str, object]]:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-m", "congvan", *arguments, *SHORT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


def test_the_first_adapter_has_thirty_lines() -> None:
    """The page promises thirty lines; blank ones are not counted."""
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 30


def test_the_first_adapter_holds_by_the_commands_of_the_page(folder: Path) -> None:
    """Without the probe and with it the kit finds nothing; with it, it saw what the software has got."""
    unseen = []
    for arguments in checks():
        status, report = checked(folder, arguments)
        assert (status, report["holds"]) == (0, True), report
        found = report["checks"]
        assert isinstance(found, list)
        unseen.append(any("no probe" in why for check in found for why in check["not_checked"]))
    assert unseen == [True, False]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("INSERT OR IGNORE INTO", "INSERT INTO"), ("        await asyncio.to_thread", "        asyncio.to_thread")],
)
def test_the_faults_that_the_page_suggests_are_found(folder: Path, right: str, wrong: str) -> None:
    """A row that cannot come twice, and an answer before the row is written: the kit says what broke."""
    file = folder / "first.py"
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    status, report = checked(folder, [*checks()[1], "--only", "duplicates"])
    assert (status, report["holds"]) == (1, False)
