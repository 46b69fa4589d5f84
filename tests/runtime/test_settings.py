"""Settings: what is wrong is named by its key, with the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.settings import Settings, load_settings
from schemas.errors import Rejected


class Limits(Settings):
    size: int = 5


class Example(Settings):
    name: str
    limits: Limits = Limits()


def load(tmp_path: Path, text: str) -> Example:
    path = tmp_path / "congvan.toml"
    path.write_text(text)
    return load_settings(Example, path, environment_prefix="EXAMPLE")


def test_a_file_is_read(tmp_path: Path) -> None:
    """Keys of the file are taken, the others keep their defaults."""
    assert load(tmp_path, 'name = "x"') == Example(name="x", limits=Limits(size=5))


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PREFIX__TABLE__KEY replaces a key, so that a container needs no file of its own."""
    monkeypatch.setenv("EXAMPLE__LIMITS__SIZE", "7")
    assert load(tmp_path, 'name = "x"').limits.size == 7


def test_an_error_of_the_environment_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks in the file for what a variable says."""
    monkeypatch.setenv("EXAMPLE__LIMITS__SIZE", "big")
    with pytest.raises(Rejected, match=r"limits\.size \(here by the environment's EXAMPLE__LIMITS__SIZE\): "):
        load(tmp_path, 'name = "x"')


@pytest.mark.parametrize(
    ("text", "code", "names"),
    [
        ("", "settings-invalid", "name must be set"),
        ('name = "x"\nnmae = 1', "settings-invalid", "nmae is no setting"),
        ('name = "x"\n[limits]\nsize = "big"', "settings-invalid", "limits.size"),
        ('name = "x\n', "settings-syntax", "line 1"),
    ],
)
def test_errors_name_the_key(tmp_path: Path, text: str, code: str, names: str) -> None:
    """A missing, misspelt or malformed key is named; a syntax error gives its line."""
    with pytest.raises(Rejected, match=names) as caught:
        load(tmp_path, text)
    assert caught.value.code == code


def test_a_secret_in_a_wrong_place_is_not_shown(tmp_path: Path) -> None:
    """The value of a wrong key stays out of the message: it may be a secret."""
    with pytest.raises(Rejected) as caught:
        load(tmp_path, 'name = ["hunter2"]')
    assert "hunter2" not in str(caught.value)


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    """A file that an editor saved as UTF-16 is told from a fault of the program."""
    path = tmp_path / "congvan.toml"
    path.write_text('name = "x"', encoding="utf-16")
    with pytest.raises(Rejected, match="not UTF-8") as caught:
        load_settings(Example, path, environment_prefix="EXAMPLE")
    assert caught.value.code == "settings-syntax"


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """No settings file is an error with a mend."""
    with pytest.raises(Rejected) as caught:
        load_settings(Example, tmp_path / "none.toml", environment_prefix="EXAMPLE")
    assert caught.value.mend
