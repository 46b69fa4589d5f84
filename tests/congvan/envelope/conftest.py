"""The command as a person runs it, a parcel to pack, keys to seal with."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from certs.authority import Authority
from certs.keys import new_p256_key, write_certificates, write_key
from congvan.cli import main
from runtime.clock import utc_now
from schemas.codes import AgencyCode
from tests.congvan.envelope.command import METADATA, PDF, Answer, Keys, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The congvan command in this process: whatever it prints, and its exit status."""

    def envelope(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["congvan", "envelope", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Answer(ended.value.code if isinstance(ended.value.code, int) else 0, printed.out, printed.err)

    return envelope


@pytest.fixture
def parcel(tmp_path: Path) -> Path:
    """A folder with metadata, a PDF, a CSV and a copy of the PDF under another name."""
    folder = tmp_path / "parcel"
    folder.mkdir()
    (folder / "meta.toml").write_text(METADATA, encoding="utf-8")
    (folder / "Tờ trình.pdf").write_bytes(PDF)
    (folder / "phụ lục.csv").write_bytes(b"a;b\n")
    (folder / "bản sao.pdf").write_bytes(PDF)
    return folder


@pytest.fixture
def packed(run: Run, parcel: Path, tmp_path: Path) -> Path:
    out = tmp_path / "document.edxml"
    names = ["Tờ trình.pdf", "phụ lục.csv", "bản sao.pdf"]
    answer = run("pack", parcel / "meta.toml", *(parcel / name for name in names), "-o", out)
    assert answer.status == 0
    return out


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    now = utc_now() - timedelta(hours=1)
    authority = Authority.create(folder / "authority", "Demo", now=now)
    other = Authority.create(folder / "other", "Other", now=now)
    key = new_p256_key()
    chain = authority.issue_seal(key.public_key(), "vpcp", [AgencyCode.parse("G22")], now)
    write_key(folder / "seal.key", key, None)
    write_certificates(folder / "seal.pem", chain)
    write_certificates(folder / "root.pem", [authority.root])
    write_certificates(folder / "other.pem", [other.root])
    return Keys(folder / "seal.key", folder / "seal.pem", folder / "root.pem", folder / "other.pem")


@pytest.fixture
def sealed(run: Run, packed: Path, keys: Keys, tmp_path: Path) -> Path:
    out = tmp_path / "sealed.xml"
    assert run("sign", packed, "--key", keys.key, "--cert", keys.cert, "-o", out).status == 0
    return out
