"""The wheel: it holds what the programs need at run time, and nothing of the workshop."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("congvan", "hub", "node", "transport", "adapters", "certs", "runtime", "schemas")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_source_file_is_in_the_wheel(names: set[str]) -> None:
    """What git tracks below the packages (modules, XSDs, migrations, type markers) is what the wheel installs."""
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)
    missing = {name for name in tracked.stdout.splitlines() if name not in names}
    assert not missing


def test_each_package_is_typed(names: set[str]) -> None:
    """Each package carries the marker that lets an integrator's type checker read it."""
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_nothing_else_is_installed(names: set[str]) -> None:
    """Tests, benchmarks and documents stay out of site-packages."""
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
