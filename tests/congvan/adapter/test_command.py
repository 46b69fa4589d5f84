"""`congvan adapter`: what there is, a skeleton that works as it comes, and the kit's verdict by exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.testing import CliRunner

from congvan.cli import app

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["adapter", *arguments])
    return result.exit_code, result.stdout


def test_the_adapters_that_ship_are_listed() -> None:
    """`list` names each adapter once, with its package and its probe."""
    status, output = run("list", "--json")
    assert status == 0
    [filedrop] = [row for row in json.loads(output) if row["name"] == "filedrop"]
    assert filedrop == {
        "name": "filedrop",
        "entry_point": "adapters.filedrop:open_filedrop",
        "package": "congvan",
        "probe": "adapters.filedrop.probe:open_probe",
    }


def test_an_adapter_that_holds_ends_with_status_0() -> None:
    """`check NAME --json` tells each check that was made."""
    status, output = run("check", "filedrop", "--only", "life", "--only", "empty", "--json")
    report = json.loads(output)
    assert (status, report["holds"], report["guarantee"]) == (0, True, "exactly-once")
    assert [check["check"] for check in report["checks"]] == ["life", "empty"]


def test_what_broke_is_told_in_words_with_status_1() -> None:
    """What was done, expected, what happened and what mends it stand in the output for people."""
    arguments = ("tests.adapters.faulty:Forgetful", "--probe", "tests.adapters.faulty:open_software", "--only", "empty")
    status, output = run("check", *arguments)
    assert status == 1
    for words in ("done:", "expected:", "It has it not", "mend:", "does not hold"):
        assert words in output


def test_settings_come_from_a_node_s_file(tmp_path: Path) -> None:
    """`--settings` takes an adapter's table out of a congvan.toml, without the keys that are the node's."""
    file = tmp_path / "congvan.toml"
    file.write_text(f'[adapters.filedrop]\ncodes = ["H23"]\npoll_secs = 1\nfolder = "{tmp_path}"\n')
    status, output = run("check", "filedrop", "--settings", str(file), "--only", "life", "--json")
    [finding] = json.loads(output)["checks"][0]["findings"]
    assert status == 1
    assert "poll_secs is no setting" in finding["happened"]
    assert "codes" not in finding["happened"]


@pytest.mark.parametrize("name", ["Ten", "ten_phan", "-x", "tên", "x" * 51])
def test_a_name_that_no_package_can_bear_is_refused(name: str, tmp_path: Path) -> None:
    """Nothing is written for a name that would be no package."""
    status, _ = run("new", "--dir", str(tmp_path), "--", name)
    assert status != 0
    assert list(tmp_path.iterdir()) == []


def test_a_new_adapter_passes_its_own_test(tmp_path: Path) -> None:
    """`new` writes a package that installs, is found by its entry point, and whose test, which runs the kit, passes."""
    status, output = run("new", "phan-mem", "--dir", str(tmp_path), "--json")
    assert status == 0
    package = Path(json.loads(output)["folder"])
    site = tmp_path / "site"
    installing = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site))
    subprocess.run([sys.executable, "-m", *installing, str(package)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT), *sys.path[1:]])}
    # A checkout that was installed before the kit came has its plugin unregistered.
    registered = any(entry.name == "congvan_adapter_kit" for entry in entry_points(group="pytest11"))
    plugin = () if registered else ("-p", "adapters.kit.pytest_plugin")
    testing = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "t"), *plugin],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert testing.returncode == 0, testing.stdout + testing.stderr
    assert "1 passed" in testing.stdout
    listing = subprocess.run(
        [sys.executable, "-m", "congvan", "adapter", "list", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("phan-mem", "congvan_phan_mem.probe:open_probe") in [
        (row["name"], row["probe"]) for row in json.loads(listing.stdout)
    ]


def test_what_stands_there_is_not_written_over(tmp_path: Path) -> None:
    """A second `new` of the same name leaves the first one as it is."""
    assert run("new", "phan-mem", "--dir", str(tmp_path))[0] == 0
    file = tmp_path / "congvan-phan-mem" / "README.md"
    file.write_text("mine")
    assert run("new", "phan-mem", "--dir", str(tmp_path))[0] != 0
    assert file.read_text() == "mine"
