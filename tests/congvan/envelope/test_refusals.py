"""What `congvan envelope` cannot read: one sentence, exit status 1, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.congvan.envelope.command import Run
from tests.schemas.classic_files import SAMPLES, VECTORS


def unreadable(folder: Path) -> list[tuple[Path, str]]:
    (folder / "empty.edxml").touch()
    (folder / "junk.edxml").write_bytes(os.urandom(5000))
    (folder / "nul.edxml").write_bytes(bytes(5000))
    (folder / "text.edxml").write_text("Không phải XML", encoding="utf-8")
    (folder / "loop.edxml").symlink_to(folder / "loop.edxml")
    return [
        (folder / "missing.edxml", "file-missing"),
        (folder, "file-is-folder"),
        (folder / "empty.edxml", "file-empty"),
        (folder / "junk.edxml", ""),
        (folder / "nul.edxml", ""),
        (folder / "text.edxml", "not-xml"),
        (folder / "loop.edxml", ""),
    ]


@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["validate"], ["unpack", "--to", "out"]])
def test_what_cannot_be_read_gets_one_sentence(run: Run, tmp_path: Path, command: list[str]) -> None:
    """Missing, a folder, empty, junk, a link to itself: exit status 1, one line on standard error, no other output."""
    command = [word if word != "out" else str(tmp_path / "out") for word in command]
    for path, code in unreadable(tmp_path):
        answer = run(*command, path)
        assert answer.status == 1
        assert answer.out == ""
        assert str(path) in answer.err
        assert code in answer.err
        assert len(answer.err.strip().splitlines()) == 1
        assert "Traceback" not in answer.err
    assert not (tmp_path / "out").exists()


def test_a_file_that_may_not_be_read_gets_one_sentence(run: Run, tmp_path: Path) -> None:
    """Permissions are the user's to mend, and the sentence says so; root becomes nobody for the time of the command."""
    path = tmp_path / "private.edxml"
    path.write_bytes(b"<x/>")
    path.chmod(0)
    assert run("show", tmp_path).status == 1  # imports what nobody may not be able to
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        answer = run("show", path)
    finally:
        os.seteuid(was)
    assert answer.status == 1
    assert "(rule: storage-permission)" in answer.err


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.rglob("*.edxml")) + sorted(VECTORS.rglob("*.edxml")), ids=lambda path: path.stem
)
def test_every_known_file_is_shown_or_refused(run: Run, path: Path) -> None:
    """Good files are shown in both ways; each bad one names its file, and its line unless it is empty."""
    answer = run("show", path, "--json")
    if path.parent.name != "bad":
        assert answer.status == 0
        assert answer.json["MessageHeader"]["From"]["OrganId"].strip()
        assert run("show", path).status == 0
        return
    assert answer.status == 1
    assert answer.out == ""
    assert str(path) in answer.err
    assert path.stem == "empty" or f"{path}:" in answer.err


def test_the_program_ends_without_a_traceback_in_a_process_of_its_own(tmp_path: Path) -> None:
    """`python -m congvan envelope show` on a missing file: exit status 1 and one sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "congvan", "envelope", "show", str(tmp_path / "missing.edxml")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "there is no such file" in done.stderr


@pytest.mark.parametrize("command", ["show", "validate", "pack", "unpack", "sign", "verify"])
def test_help_teaches_by_an_example(run: Run, command: str) -> None:
    """Each command's help shows a whole command line to copy."""
    answer = run(command, "--help")
    assert answer.status == 0
    assert f"congvan envelope {command}" in answer.out.partition("Example:")[2]
