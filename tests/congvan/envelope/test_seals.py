"""Sealing and verifying on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from schemas.envelope import Envelope, Extension
from schemas.metadata import document_from_metadata, sender_from_metadata
from schemas.travel import parse_envelope, read_envelope, write_envelope
from tests.congvan.envelope.command import Keys, Run


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
