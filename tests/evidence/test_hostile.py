"""Containers made to harm whoever looks into them."""

from __future__ import annotations

import contextlib
import json
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.evidence_verifying import NamedAuthority, verify_evidence
from schemas.errors import Rejected
from tests.evidence.samples import entries, name_of, spoil


def refusal_of(path: Path, named: NamedAuthority) -> str:
    with pytest.raises(Rejected) as refusal:
        verify_evidence(path, named)
    return refusal.value.code


def _doubled(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("envelope.xml", b"<another/>")


def _not_first(path: Path) -> None:
    files = entries(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*list(files)[1:], "mimetype"):
            archive.writestr(name, files[name])


def _without_manifest(path: Path) -> None:
    spoil(path, {"META-INF/manifest.json": None}, cover_up=False).replace(path)


def _commented(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"read me"


def _encrypted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02")
    data[place + 8] |= 1
    path.write_bytes(data)


def _crowded(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-14:-10] = struct.pack("<HH", 0xFFFF, 0xFFFF)
    data[-10:-6] = struct.pack("<I", 0xFFFFFF00)
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _listed_twice(path: Path) -> None:
    manifest = json.loads(entries(path)["META-INF/manifest.json"])
    manifest["files"].append(manifest["files"][0])
    spoil(path, {"META-INF/manifest.json": json.dumps(manifest).encode()}, cover_up=False).replace(path)


def _listed_as_huge(path: Path) -> None:
    manifest = json.loads(entries(path)["META-INF/manifest.json"])
    manifest["files"][0]["size"] = 2**60
    spoil(path, {"META-INF/manifest.json": json.dumps(manifest).encode()}, cover_up=False).replace(path)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "two entries of one name": (_doubled, "evidence-repeated"),
    "the mimetype last": (_not_first, "evidence-form"),
    "no manifest": (_without_manifest, "evidence-form"),
    "a comment": (_commented, "evidence-form"),
    "encrypted": (_encrypted, "evidence-form"),
    "a directory of gigabytes": (_crowded, "evidence-too-many"),
    "cut off": (_cut, "evidence-form"),
    "listed twice": (_listed_twice, "evidence-repeated"),
    "listed as huge": (_listed_as_huge, "evidence-too-large"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_no_container_is_refused(container: Path, named: NamedAuthority, how: str) -> None:
    """A ZIP that is not of the form is refused by its rule, before its files are looked at."""
    spoilt, rule = HOSTILE[how]
    spoilt(container)
    assert refusal_of(container, named) == rule


def test_bytes_that_are_no_zip_are_refused(tmp_path: Path, named: NamedAuthority) -> None:
    """Neither an empty file nor any other one comes further than the door."""
    for content in (b"", b"%PDF-1.7 " + bytes(1000)):
        (tmp_path / "none.zip").write_bytes(content)
        assert refusal_of(tmp_path / "none.zip", named) == "evidence-form"


def test_a_bomb_is_not_unpacked(container: Path, named: NamedAuthority, tmp_path: Path) -> None:
    """A receipt that inflates a thousandfold is read as far as it is listed, and named as changed."""
    name = name_of(container, "ContentHandover")
    files = entries(container)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in files.items():
            stored = zipfile.ZipInfo(entry)
            with archive.open(stored if entry == "mimetype" else entry, "w") as file:
                file.write(content)
                for _ in range(96 if entry == name else 0):
                    file.write(bytes(1024 * 1024))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = verify_evidence(tmp_path / "bomb.zip", named)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (name, "evidence-changed") in {(one.file, one.fault.code) for one in report.findings if one.fault}
    assert grown < 48 * 1024


def test_a_name_is_never_a_path(container: Path, named: NamedAuthority, tmp_path: Path) -> None:
    """A file named to lie elsewhere is judged like any other, and nothing is written anywhere."""
    files = entries(container)
    old = name_of(container, "ContentHandover")
    new = "../../../../" + str(tmp_path / "planted.xml").lstrip("/")
    manifest = files["META-INF/manifest.json"].replace(old.encode(), new.encode())
    with zipfile.ZipFile(tmp_path / "named.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(new if name == old else name, manifest if name.startswith("META") else content)
    before = sorted(tmp_path.rglob("*"))
    assert verify_evidence(tmp_path / "named.zip", named).holds
    assert sorted(tmp_path.rglob("*")) == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_anywhere_is_refused_or_named(
    container: Path, named: NamedAuthority, places: list[tuple[float, int]]
) -> None:
    """Whatever bytes are overwritten, the answer is a refusal by a rule or a report, never another error."""
    data = bytearray(container.read_bytes())
    for place, byte in places:
        data[int(place * len(data))] = byte
    damaged = container.with_name("damaged.zip")
    damaged.write_bytes(data)
    with contextlib.suppress(Rejected):
        verify_evidence(damaged, named)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.integers(0, 30), place=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(
    container: Path, named: NamedAuthority, part: int, place: float, byte: int
) -> None:
    """One other byte in any file but the manifest is named, by the file that it is in."""
    files = entries(container)
    name = [name for name in files if name not in ("mimetype", "META-INF/manifest.json")][part % (len(files) - 2)]
    changed = bytearray(files[name])
    changed[int(place * len(changed))] ^= byte
    report = verify_evidence(spoil(container, {name: bytes(changed)}, cover_up=False), named)
    assert (name, "evidence-changed") in {(one.file, one.fault.code) for one in report.findings if one.fault}
