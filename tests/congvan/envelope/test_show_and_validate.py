"""What `congvan envelope show` and `validate` say of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.congvan.envelope.command import PDF, Run
from tests.schemas.classic_files import VECTORS, document


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
    assert run("show", VECTORS / "gaps.edxml", "--json").json["MessageHeader"]["ResponseFor"] == [{}]
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
