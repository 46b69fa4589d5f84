"""Adapters are found by name, nothing of them is imported before, and what is wrong is named."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from adapters import loading
from adapters.filedrop import open_filedrop
from adapters.loading import GROUP, load_adapter
from schemas.errors import Rejected


def register(monkeypatch: pytest.MonkeyPatch, **entries: str) -> None:
    """Let packages register these adapters: name → what their entry point names."""
    found = [EntryPoint(name, value, GROUP) for name, value in entries.items()]
    monkeypatch.setattr(loading, "entry_points", lambda group: found if group == GROUP else [])


def test_an_adapter_that_ships_is_there_without_any_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    """filedrop loads from a checkout, where no package is installed, and installed it is not two."""
    register(monkeypatch)
    assert load_adapter("filedrop") is open_filedrop
    register(monkeypatch, filedrop="adapters.filedrop:open_filedrop")
    assert load_adapter("filedrop") is open_filedrop


def test_an_adapter_of_another_package_is_loaded_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a package registers under the group is what the name gives."""
    register(monkeypatch, printer="tests.adapters.simulator:code")
    assert load_adapter("printer").__name__ == "code"


@pytest.mark.parametrize(
    ("name", "entries", "rule"),
    [
        ("sql-tables", {}, "adapter-unknown"),
        ("filedrop", {"filedrop": "other.package:open_it"}, "adapter-ambiguous"),
        ("printer", {"printer": "no.such.module:open_it"}, "adapter-broken"),
        ("printer", {"printer": "tests.adapters.simulator:absent"}, "adapter-broken"),
        ("printer", {"printer": "tests.adapters.simulator:NAMES"}, "adapter-broken"),
    ],
)
def test_what_cannot_be_loaded_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, entries: dict[str, str], rule: str
) -> None:
    """An unknown, doubled or broken adapter is refused under its own rule, with its name."""
    register(monkeypatch, **entries)
    with pytest.raises(Rejected, match=name) as error:
        load_adapter(name)
    assert error.value.code == rule


def test_an_adapter_not_named_is_not_imported() -> None:
    """Finding adapters imports none of them: a broken one that nobody uses harms nobody."""
    code = "import sys, adapters.loading; sys.exit('adapters.filedrop' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
