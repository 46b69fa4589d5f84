"""The systemd units: what systemd's own tools say of them, and that they agree with the programs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hub.app import LAST_GRACE
from hub.settings import HttpSettings
from node.settings import NodeTable

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
NAMES = ("congvan-hub.service", "congvan-node.service", "congvan-node@.service")

#: What systemd rates an ordinary service of Debian at is about 9.
MOST_EXPOSED = 1.5


def settings_of(name: str) -> dict[str, str]:
    """The unit's keys (the last value of each)."""
    lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def said_by(*command: str | Path) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_leaves_little_exposed(name: str) -> None:
    """`systemd-analyze security` rates each unit at 1.5 of 10 at most."""
    said = said_by("systemd-analyze", "security", "--offline=yes", "--no-pager", UNITS / name)
    rated = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert rated is not None, said
    assert float(rated[1]) <= MOST_EXPOSED


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say of the units and their drop-ins."""
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for name in NAMES:
        for unit in (tmp_path / name, *(tmp_path / f"{name}.d").glob("*.conf")):
            unit.write_text(unit.read_text(encoding="utf-8").replace("/opt/congvan/bin/congvan", sys.executable))
    started = [tmp_path / name.replace("@", "@haiduong") for name in NAMES]
    verify = ("systemd-analyze", "verify", "--man=no", "--generators=no", "--recursive-errors=no")
    assert said_by(*verify, *started) == ""


def test_the_units_user_can_be_made(tmp_path: Path) -> None:
    """systemd-sysusers makes the user that the units name, with a home that is no login."""
    (tmp_path / "etc").mkdir()
    said_by("systemd-sysusers", f"--root={tmp_path}", UNITS / "congvan.sysusers.conf")
    [line] = (tmp_path / "etc" / "passwd").read_text(encoding="utf-8").splitlines()
    user, *_, home, shell = line.split(":")
    assert {user} == {settings_of(name)["User"] for name in NAMES}
    assert (home, shell) == ("/var/lib/congvan", "/usr/sbin/nologin")


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_waits_as_long_as_the_programs_grace(name: str) -> None:
    """systemd kills only what has not ended by its own grace time, which is over before."""
    grace = HttpSettings().grace_seconds + LAST_GRACE if "hub" in name else NodeTable().grace_seconds
    assert int(settings_of(name)["TimeoutStopSec"]) > grace + 10


def test_the_node_units_restrict_the_same() -> None:
    """One node and one of several differ in name and folder alone."""
    single, several = (settings_of(name) for name in NAMES[1:])
    differing = {key for key in single.keys() | several.keys() if single.get(key) != several.get(key)}
    assert differing == {"Description", "ConditionPathExists", "StateDirectory", "ExecStart"}
