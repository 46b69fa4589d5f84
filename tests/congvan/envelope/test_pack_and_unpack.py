"""Files into an edXML file, and out of one again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.congvan.envelope.command import METADATA, PDF, Run
from tests.schemas.classic_files import attachment, document, zipped


def test_pack_writes_the_strict_form(run: Run, packed: Path) -> None:
    """What was packed validates without a finding, and holds every file under its own name."""
    answer = run("validate", packed, "--json")
    assert answer.status == 0
    assert answer.json["findings"] == []


def test_pack_leaves_no_half_file(run: Run, parcel: Path, tmp_path: Path) -> None:
    """Where the metadata cannot be used, a standing file stays as it was and nothing else appears."""
    out = tmp_path / "document.edxml"
    out.write_text("earlier", encoding="utf-8")
    (parcel / "meta.toml").write_text(METADATA.replace("to = [", "cc = ["), encoding="utf-8")
    answer = run("pack", parcel / "meta.toml", "-o", out)
    assert answer.status == 1
    assert "`cc` is no key of metadata" in answer.err
    (parcel / "meta.toml").write_text(METADATA.replace("to = ", "to_places = ['x'] #"), encoding="utf-8")
    assert "no-recipient" in run("pack", parcel / "meta.toml", "-o", out).err
    assert out.read_text(encoding="utf-8") == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["document.edxml", "parcel"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("meta.json", '{"from": "G22"', "metadata-syntax"),
        ("meta.yaml", "from: G22", "metadata-kind"),
        ("meta.toml", METADATA.partition("\n")[2], "metadata-sender"),
    ],
)
def test_pack_says_what_is_wrong_with_the_metadata(
    run: Run, tmp_path: Path, name: str, content: str, said: str
) -> None:
    """A broken file, an unknown form and a missing sender each get one sentence."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    answer = run("pack", tmp_path / name, "-o", tmp_path / "out.edxml")
    assert answer.status == 1
    assert f"(rule: {said})" in answer.err


def test_unpack_gives_back_every_file(run: Run, packed: Path, tmp_path: Path) -> None:
    """The bytes that were packed come out under their names, also where two are equal."""
    answer = run("unpack", packed, "--to", tmp_path / "out", "--json")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "Tờ trình.pdf": PDF,
        "phụ lục.csv": b"a;b\n",
        "bản sao.pdf": PDF,
    }
    assert [Path(one["path"]).name for one in answer.json] == ["Tờ trình.pdf", "phụ lục.csv", "bản sao.pdf"]


def test_unpack_stays_in_its_folder_and_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    """Names with paths, a name twice and one that stands already become new plain names in the folder."""
    path, folder = tmp_path / "x.edxml", tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").write_text("mine", encoding="utf-8")
    names = ["a.txt", "A.TXT", "../../a.txt", "/etc/passwd", "con.txt"]
    path.write_bytes(document(*(attachment(name, name.encode(), "text/plain") for name in names)))
    assert run("unpack", path, "--to", folder).status == 0
    assert {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir()} == {
        "a.txt": "mine",
        "a (2).txt": "a.txt",
        "A (3).TXT": "A.TXT",
        "_.._a.txt": "../../a.txt",
        "_etc_passwd": "/etc/passwd",
        "_con.txt": "con.txt",
    }
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "x.edxml"]


def test_unpack_leaves_nothing_of_a_damaged_file(run: Run, tmp_path: Path) -> None:
    """A good attachment before a damaged one is not written, and the folder it made is gone."""
    path = tmp_path / "x.edxml"
    broken = zipped("b.txt", b"b")[:-5]
    path.write_bytes(document(attachment("a.txt", zipped("a.txt", b"a")), attachment("b.txt", broken)))
    answer = run("unpack", path, "--to", tmp_path / "out")
    assert answer.status == 1
    assert "zip-damaged" in answer.err
    assert not (tmp_path / "out").exists()
