"""The front door: programs are imported when they are called, not before."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from importlib.abc import MetaPathFinder

import pytest
from typer.testing import CliRunner

from congvan.__main__ import main
from congvan.cli import PROGRAMS, app


def test_help_names_every_program_and_imports_none() -> None:
    """`congvan --help` answers without importing a server, a database or cryptography."""
    seen = "import sys; from typer.testing import CliRunner; from congvan.cli import app; "
    seen += "print(CliRunner().invoke(app, ['--help']).output); "
    seen += (
        "print('imported', sorted({'aiohttp', 'sqlalchemy', 'cryptography', 'lxml', 'hub', 'node'} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout
    assert "imported []" in output
    for program in PROGRAMS:
        assert program in output


@pytest.mark.parametrize("program", ["hub"])
def test_a_program_is_called_through_the_front_door(program: str) -> None:
    """A program's own help comes from the program."""
    result = CliRunner().invoke(app, [program, "--help"])
    assert result.exit_code == 0
    assert "serve" in result.output


def test_an_unknown_program_is_an_error() -> None:
    """A mistyped program is named, with exit status 2."""
    result = CliRunner().invoke(app, ["hubb"])
    assert result.exit_code == 2
    assert "hubb" in result.output


def test_the_version_is_that_of_the_package() -> None:
    """`congvan --version` says which release runs."""
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"congvan {metadata.version('congvan')}"


class _Interrupting(MetaPathFinder):
    """Presses Ctrl-C when the command's own module is to be imported."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "congvan.cli":
            raise KeyboardInterrupt


def test_ctrl_c_while_modules_are_imported_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status is that of an interrupted program, and nothing is written."""
    monkeypatch.delitem(sys.modules, "congvan.cli")
    monkeypatch.setattr(sys, "meta_path", [_Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "")
