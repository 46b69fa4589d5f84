"""`congvan envelope`, run as a person runs it: its answers, its files, its exit status, and never a traceback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from certs.authority import Authority
from certs.keys import new_p256_key, write_certificates, write_key
from congvan.cli import main
from runtime.clock import utc_now
from schemas.codes import AgencyCode
from schemas.envelope import Envelope, Extension
from schemas.metadata import document_from_metadata, sender_from_metadata
from schemas.travel import parse_envelope, read_envelope, write_envelope
from tests.schemas.classic_files import SAMPLES, VECTORS, attachment, document, zipped

PDF = b"%PDF-1.4\n% T\xe1\xbb\x9d tr\xc3\xacnh\n%%EOF\n"
METADATA = """\
from = { organ_id = "G22", organ_name = "Văn phòng Chính phủ" }
to = [{ organ_id = "H23", organ_name = "UBND tỉnh Hải Dương" }, "000.00.00.H31"]
subject = "V/v gửi, nhận văn bản điện tử"
code = "6101/VPCP-KSTT"
place = "Hà Nội"
date = 2026-11-20
signer = "Nguyễn Thị Lan"
"""


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Answer]


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


@dataclass(frozen=True)
class Keys:
    """A sealing key with its certificate, and the roots of its authority and of another one."""

    key: Path
    cert: Path
    root: Path
    other_root: Path


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


def test_show_gives_the_elements_nested_as_in_the_file(run: Run, packed: Path) -> None:
    """Names, nesting, texts as written, lists where the form allows several, and the digests of unwrapped contents."""
    shown = run("show", packed, "--json").json
    header = shown["MessageHeader"]
    assert header["From"] == {"OrganId": "G22", "OrganName": "Văn phòng Chính phủ"}
    assert header["To"] == [{"OrganId": "H23", "OrganName": "UBND tỉnh Hải Dương"}, {"OrganId": "000.00.00.H31"}]
    assert header["Code"] == {"CodeNumber": "6101", "CodeNotation": "VPCP-KSTT"}
    assert header["OtherInfo"] == {"Priority": "0"}
    assert header["SteeringType"] == "0"
    assert [hop["OrganId"] for hop in shown["TraceHeaderList"]["TraceHeader"]] == ["G22"]
    assert shown["TraceHeaderList"]["Bussiness"]["BussinessDocType"] == "0"
    digest = hashlib.sha256(PDF).hexdigest()
    assert [
        (one["AttachmentName"], one["ContentType"], one["size"], one["sha256"]) for one in shown["Attachments"]
    ] == [
        ("Tờ trình.pdf", "application/zip", len(PDF), digest),
        ("phụ lục.csv", "application/zip", 4, hashlib.sha256(b"a;b\n").hexdigest()),
        ("bản sao.pdf", "application/zip", len(PDF), digest),
    ]
    assert shown["warnings"] == []
    assert "seal" not in shown


def test_show_keeps_lists_and_texts_of_odd_files(run: Run) -> None:
    """What VNPT's library writes, and a status: lists stay lists, odd texts stay as they are, oddities are warnings."""
    shown = run("show", VECTORS / "vnpt_library.edxml", "--json").json
    assert shown["TraceHeaderList"]["TraceHeader"] == [{"OrganId": "null", "Timestamp": "2026/11/18 16:45:10"}]
    replaced = shown["TraceHeaderList"]["Bussiness"]["ReplacementInfoList"]
    assert [one["ReplacementInfo"][0]["DocumentId"] for one in replaced] == [
        "H53,2026/11/10,2001/UBND-NC",
        "H53,2026/11/11,2002/UBND-NC",
    ]
    assert {warning["code"] for warning in shown["warnings"]} >= {"agency-unknown", "signature-placeholder"}
    assert all(warning["line"] for warning in shown["warnings"])
    status = run("show", VECTORS / "status_sparse.edxml", "--json").json
    assert status["message"] == "status"
    assert status["MessageHeader"]["ResponseFor"] == {}
    assert status["MessageHeader"]["StatusCode"] == "3"
    assert status["Attachments"] == []
    assert "TraceHeaderList" not in status


def test_show_gives_people_a_table(run: Run, packed: Path) -> None:
    """Agencies with their names, the subject, each attachment with its whole digest."""
    answer = run("show", packed)
    assert answer.status == 0
    for text in ("G22 Văn phòng Chính phủ", "6101/VPCP-KSTT", "Tờ trình.pdf", hashlib.sha256(PDF).hexdigest()):
        assert text in answer.out


def test_a_text_cannot_command_the_terminal(run: Run, tmp_path: Path) -> None:
    """Control characters that XML allows, characters that turn the writing, and rich's own markup are shown as text."""
    path = tmp_path / "hostile.edxml"
    path.write_bytes(document(header="<Subject>[red]x[/red] \u009b31m \u202eđỏ</Subject>"))
    answer = run("show", path)
    assert "[red]x[/red] \ufffd31m \ufffdđỏ" in answer.out
    assert "\u009b" not in answer.out


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("any_order", 0),
        ("plain_archive", 0),
        ("url_safe_base64", 0),
        ("odd_dates", 1),
        ("vnpt_library", 1),
        ("gaps", 1),
    ],
)
def test_validate_fails_what_strict_receivers_refuse(run: Run, name: str, status: int) -> None:
    """Notes alone pass; a finding that strict receivers stumble over fails, and is told in both forms."""
    answer = run("validate", VECTORS / f"{name}.edxml")
    told = run("validate", VECTORS / f"{name}.edxml", "--json")
    assert (answer.status, told.status) == (status, status)
    assert told.json["valid"] == (status == 0)
    assert any(finding["strict_refuses"] for finding in told.json["findings"]) == (status == 1)
    assert ("strict receivers refuse" in answer.out) == (status == 1)


def test_validate_names_a_text_that_peers_cut(run: Run, tmp_path: Path) -> None:
    """A subject of 501 characters is read, and fails the check."""
    path = tmp_path / "long.edxml"
    text = (VECTORS / "utf8_marked.edxml").read_text(encoding="utf-8-sig")
    path.write_text(text.replace("V/v phối hợp", "V/v phối hợp" + "ế" * 490), encoding="utf-8")
    answer = run("validate", path, "--json")
    assert answer.status == 1
    assert [finding["code"] for finding in answer.json["findings"]] == ["text-beyond-peers"]


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


def test_sign_makes_an_envelope_that_verify_and_show_understand(
    run: Run, sealed: Path, packed: Path, keys: Keys
) -> None:
    """A classic file is sealed, its attachments named by their content; verify tells who sealed it, show the rest."""
    verified = run("verify", sealed, "--anchor", keys.root, "--json")
    assert verified.status == 0
    assert (verified.json["verified"], verified.json["from"]) == (True, "G22")
    assert "vpcp" in verified.json["signer"]["subject"]
    shown = run("show", sealed, "--json").json
    classic = run("show", packed, "--json").json
    assert shown["form"] == "travelling"
    for part in ("MessageHeader", "TraceHeaderList"):
        assert shown[part] == classic[part]
    assert [(one["AttachmentName"], one["size"], one["sha256"]) for one in shown["Attachments"]] == [
        (one["AttachmentName"], one["size"], one["sha256"]) for one in classic["Attachments"]
    ]
    assert [one["ContentType"] for one in shown["Attachments"]] == ["application/pdf", "text/csv", "application/pdf"]
    assert shown["Extension"]["SubmissionId"]
    assert shown["seal"]["message_id"] == verified.json["message_id"]
    assert shown["seal"]["signed_at"] == verified.json["signed_at"]


def test_a_seal_counts_as_verified_only_with_an_anchor(run: Run, sealed: Path, keys: Keys) -> None:
    """Without an anchor show says unverified, with the right one verified, with another one why not."""
    assert run("show", sealed, "--json").json["seal"]["verified"] is False
    assert "not verified" in run("show", sealed).out
    assert run("show", sealed, "--anchor", keys.root, "--json").json["seal"]["verified"] is True
    other = run("show", sealed, "--anchor", keys.other_root, "--json").json["seal"]
    assert other["verified"] is False
    assert "seal-certificate-untrusted" in other["fault"]


def test_verify_refuses_what_does_not_hold(run: Run, sealed: Path, packed: Path, keys: Keys, tmp_path: Path) -> None:
    """A changed byte, a foreign anchor, a time before the certificate, and a classic file: each its own reason."""
    changed = tmp_path / "changed.xml"
    changed.write_bytes(sealed.read_bytes().replace("Hà Nội".encode(), "Hà Nam".encode()))
    for arguments, code in (
        ((changed, "--anchor", keys.root), "seal-digest"),
        ((sealed, "--anchor", keys.other_root), "seal-certificate-untrusted"),
        ((sealed, "--anchor", keys.root, "--at", "2020-01-01"), "seal-certificate-not-yet-valid"),
        ((packed, "--anchor", keys.root), "seal-missing"),
        ((sealed, "--anchor", packed), "key-certificate"),
    ):
        answer = run("verify", *arguments)
        assert answer.status == 1
        assert f"(rule: {code})" in answer.err
        assert answer.out == ""
    assert run("validate", changed).status == 1
    assert run("validate", sealed).status == 0


def test_sign_seals_an_unsealed_envelope_as_it_is(run: Run, keys: Keys, tmp_path: Path) -> None:
    """The values of an envelope that travels are not touched by sealing it, and a sealed one is not sealed again."""
    metadata: dict[str, object] = {
        "from": "G22",
        "to": ["H23"],
        "subject": "x",
        "code": "1/x",
        "place": "x",
        "signer": "x",
    }
    sender = sender_from_metadata(metadata)
    assert sender is not None
    now = datetime(2026, 11, 20, tzinfo=UTC)
    made = document_from_metadata(metadata, sender=sender, recipients=(), now=now, attachments=())
    unsealed, out = tmp_path / "unsealed.xml", tmp_path / "sealed.xml"
    unsealed.write_bytes(write_envelope(Envelope(made, Extension(submission_id="one"))))
    shown = run("show", unsealed, "--json").json
    assert (shown["form"], shown["seal"]) == ("travelling", None)
    assert run("sign", unsealed, "--key", keys.key, "--cert", keys.cert, "-o", out).status == 0
    assert read_envelope(parse_envelope(out.read_bytes())) == Envelope(made, Extension(submission_id="one"))
    again = run("sign", out, "--key", keys.key, "--cert", keys.cert, "-o", tmp_path / "again.xml")
    assert again.status == 1
    assert "seal-doubled" in again.err
    assert not (tmp_path / "again.xml").exists()


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
        cwd=Path(__file__).parents[2],
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
