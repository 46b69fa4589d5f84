"""What a container proves, to whom: honest ones hold, and each part that somebody spoilt is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certs.errors import EvidenceRejected
from certs.evidence_report import EvidenceReport
from certs.evidence_verifying import NamedAuthority, verify_evidence
from certs.evidence_writing import write_evidence
from certs.keys import certificates_pem, fingerprint
from schemas.receipts import Reason, ReceiptEvent
from tests.evidence.samples import OF_H23, OF_HUB, PDF, Case, entries, name_of, spoil
from tests.node.core.world import G22, H23, OWN, World, document, envelope


def faults(report: EvidenceReport) -> set[tuple[str, str]]:
    """What does not hold: files and rules."""
    return {(finding.file, finding.fault.code) for finding in report.findings if finding.fault}


def judged(case: Case, folder: Path, named: NamedAuthority | None, *receipts: Any, **values: Any) -> EvidenceReport:
    write_evidence(folder / "other.zip", case.contents(*receipts, **values))
    return verify_evidence(folder / "other.zip", named)


def test_an_honest_container_holds_and_tells_the_life(case: Case, container: Path, named: NamedAuthority) -> None:
    """Seal, each receipt and the attachment hold, with who said it and when; the directory is whole."""
    report = verify_evidence(container, named)
    assert report.holds
    assert report.is_anchored
    assert report.directory_complete
    assert report.message_id == case.sealed.message_id
    told = [(finding.what, finding.who) for finding in report.findings]
    assert told == [
        ("SubmissionAcceptance", "hub.example"),
        ("ContentConsignment", "H23 UBND tỉnh Hải Dương"),
        ("ContentHandover", "H23 UBND tỉnh Hải Dương"),
        ("seal", "G22 Văn phòng Chính phủ"),
        ("attachment", None),
    ]


def test_what_is_kept_is_byte_for_byte(case: Case, tmp_path: Path) -> None:
    """Envelope, receipts, proofs, directory and attachment come out as they were put in; the mimetype is first."""
    contents = case.contents()
    write_evidence(tmp_path / "one.zip", contents)
    files = entries(tmp_path / "one.zip")
    assert next(iter(files)) == "mimetype"
    assert files["envelope.xml"] == contents.envelope
    receipts = [content for name, content in files.items() if name.startswith("receipts/")]
    assert receipts == [signed.receipt for signed in contents.receipts]
    proofs = {content for name, content in files.items() if name.startswith("proofs/")}
    assert proofs == {signed.proof for signed in contents.receipts}
    assert [content for name, content in files.items() if name.startswith("directory/")] == list(contents.directory)
    assert [content for name, content in files.items() if name.startswith("attachments/")] == [PDF]


def test_without_a_named_authority_it_is_consistent_and_no_more(
    case: Case, container: Path, named: NamedAuthority, tmp_path: Path
) -> None:
    """A container that a stranger made whole is consistent by itself, and does not hold under the hub's authority."""
    assert verify_evidence(container, None).holds
    (tmp_path / "elsewhere").mkdir()
    stranger = Case(World(tmp_path / "elsewhere"))
    write_evidence(tmp_path / "forged.zip", stranger.contents())
    alone = verify_evidence(tmp_path / "forged.zip", None)
    assert alone.holds
    assert not alone.is_anchored
    report = verify_evidence(tmp_path / "forged.zip", named)
    assert ("authority.pem", "evidence-authority") in faults(report)
    assert not [finding for finding in report.findings if finding.holds]


def test_an_authority_can_be_named_by_its_fingerprint(case: Case, container: Path) -> None:
    """The fingerprint of the root that the container brings along anchors it; another is refused."""
    report = verify_evidence(container, NamedAuthority(fingerprint=fingerprint(case.world.authority.root)))
    assert report.holds
    assert report.is_anchored
    with pytest.raises(EvidenceRejected) as refusal:
        verify_evidence(container, NamedAuthority(fingerprint="ab" * 32))
    assert refusal.value.code == "evidence-authority"


SPOILT: dict[str, tuple[str, Callable[[bytes, Case], bytes], str]] = {
    "seal": ("envelope.xml", lambda data, _: data.replace("Báo cáo".encode(), "Báo cao".encode()), "seal-digest"),
    "receipt": (
        "ContentConsignment",
        lambda data, _: data.replace(b"ContentConsignment-1", b"ContentConsignment-2"),
        "receipt-not-in-proof",
    ),
    "directory": ("directory/", lambda data, _: data.replace(b'"signature":"', b'"signature":"AA'), "directory-"),
    "certificate": (
        "certificates/",
        lambda _data, case: certificates_pem([case.world.stranger.root]),
        "evidence-certificate",
    ),
    "authority": ("authority.pem", lambda _, case: certificates_pem([case.world.stranger.root]), "evidence-authority"),
    "attachment": ("attachments/", lambda _data, _case: b"%PDF-1.7 another", "evidence-attachment"),
}


@pytest.mark.parametrize("part", SPOILT)
@pytest.mark.parametrize("cover_up", [False, True])
def test_a_part_that_was_changed_is_named(
    case: Case, container: Path, named: NamedAuthority, part: str, cover_up: bool
) -> None:
    """Whoever changes a part is found out by the manifest, and, if that is changed as well, by what is signed."""
    place, change, rule = SPOILT[part]
    name = next(name for name in entries(container) if place in name)
    spoilt = spoil(container, {name: change(entries(container)[name], case)}, cover_up=cover_up)
    found = faults(verify_evidence(spoilt, named))
    if cover_up:
        assert any(file == name and code.startswith(rule) for file, code in found), found
    else:
        assert (name, "evidence-changed") in found


def test_a_proof_that_was_changed_takes_its_receipts_along(case: Case, container: Path, named: NamedAuthority) -> None:
    """A digest added to a proof breaks its signature: every receipt under it is named, the hub's own holds."""
    proof = next(name for name, data in entries(container).items() if name.startswith("proofs/") and b">H23<" in data)
    changed = entries(container)[proof].replace(b"<Digest>", b"<Digest>" + b"0" * 64 + b"</Digest><Digest>", 1)
    found = faults(verify_evidence(spoil(container, {proof: changed}, cover_up=True), named))
    assert found == {
        (name_of(container, "ContentConsignment"), "proof-digest"),
        (name_of(container, "ContentHandover"), "proof-digest"),
    }


def test_a_file_that_is_gone_or_was_slipped_in_is_named(container: Path, named: NamedAuthority) -> None:
    """A listed receipt that is missing, and a file that nobody listed, are both said."""
    gone = name_of(container, "ContentHandover")
    found = faults(verify_evidence(spoil(container, {gone: None, "more.txt": b"?"}, cover_up=False), named))
    assert found == {(gone, "evidence-missing"), ("more.txt", "evidence-unlisted")}


def test_a_missing_proof_is_named_by_its_receipts(container: Path, named: NamedAuthority) -> None:
    """A receipt whose proof is gone proves nothing."""
    proof = next(name for name, data in entries(container).items() if name.startswith("proofs/") and b">H23<" in data)
    found = faults(verify_evidence(spoil(container, {proof: None}, cover_up=False), named))
    assert (proof, "evidence-missing") in found
    assert (name_of(container, "ContentHandover"), "evidence-proof") in found


def test_a_receipt_by_another_agencys_key_does_not_hold(case: Case, tmp_path: Path, named: NamedAuthority) -> None:
    """G22's good key cannot sign that the document arrived at H23."""
    forged = case.signed(case.receipt(ReceiptEvent.CONTENT_CONSIGNMENT, OF_H23), key=case.world.keys["g22"])
    report = judged(case, tmp_path, named, case.acceptance, *forged)
    assert {code for _, code in faults(report)} == {"signer-not-bound"}


def test_a_hub_cannot_attest_what_happened_at_a_recipient(case: Case, tmp_path: Path, named: NamedAuthority) -> None:
    """A consignment signed by the hub is no evidence of one; that it gave the delivery up is."""
    report = judged(
        case,
        tmp_path,
        named,
        case.acceptance,
        *case.signed(
            case.receipt(ReceiptEvent.CONTENT_CONSIGNMENT, OF_HUB),
            case.receipt(ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE, OF_HUB),
        ),
    )
    assert faults(report) == {("receipts/0002-ContentConsignment.xml", "receipt-issuer")}


def test_a_receipt_of_another_message_is_no_evidence_of_this_one(
    case: Case, tmp_path: Path, named: NamedAuthority
) -> None:
    """True receipts, of something else."""
    other = case.signed(case.receipt(ReceiptEvent.CONTENT_HANDOVER, OF_H23, message_id="ab" * 32))
    report = judged(case, tmp_path, named, case.acceptance, *other)
    assert faults(report) == {("receipts/0002-ContentHandover.xml", "evidence-other-message")}


def test_the_bytes_of_another_message_are_no_evidence_of_this_one(
    case: Case, tmp_path: Path, named: NamedAuthority
) -> None:
    """A well sealed envelope that is not the one receipted is named."""
    other = case.world.sealed(envelope(document(G22, H23), submission_id="another"))
    report = judged(case, tmp_path, named, envelope=other.data, attachments=())
    assert faults(report) == {("envelope.xml", "evidence-other-message")}


def test_a_key_counts_while_the_directory_names_it(case: Case, tmp_path: Path, named: NamedAuthority) -> None:
    """What a key signed before it was withdrawn holds for ever; what it signs afterwards does not."""
    later = case.world.now + timedelta(days=1)
    old_key = case.world.keys[OWN]
    before = case.signed(case.receipt(ReceiptEvent.CONTENT_CONSIGNMENT, OF_H23))
    acceptance = case.acceptance
    fresh = case.withdraw_key(later)
    handover = case.receipt(ReceiptEvent.CONTENT_HANDOVER, OF_H23, occurred_at=later + timedelta(hours=1))
    assert judged(case, tmp_path, named, acceptance, *before, *case.signed(handover, key=fresh)).holds
    report = judged(case, tmp_path, named, acceptance, *before, *case.signed(handover, key=old_key))
    assert faults(report) == {("receipts/0003-ContentHandover.xml", "signer-not-bound")}


def test_an_excerpt_of_the_directory_binds_and_is_called_one(case: Case, tmp_path: Path, named: NamedAuthority) -> None:
    """Without the versions that speak of others the same holds, and the report says that the chain is not whole."""
    case.world.publish()
    case.world.publish(connections=[case.world.connection(OWN)])
    first, _renewal, last = case.world.versions
    report = judged(case, tmp_path, named, directory=[first, last])
    assert report.holds
    assert not report.directory_complete


def test_two_histories_of_the_directory_do_not_mix(case: Case, tmp_path: Path, named: NamedAuthority) -> None:
    """A version that follows on another one than that in the file is named, though both are signed."""
    first = case.world.versions[0]
    case.world.versions = []
    case.world.publish()
    case.world.publish()
    report = judged(case, tmp_path, named, directory=[first, case.world.versions[1]])
    assert ("directory/000002.json", "evidence-directory") in faults(report)


def test_a_dropped_envelope_leaves_the_receipts(case: Case, tmp_path: Path, named: NamedAuthority) -> None:
    """After the retention rule took the payload, what remains holds, and the report says since when."""
    dropped_at = case.world.now + timedelta(days=400)
    report = judged(case, tmp_path, named, envelope=None, dropped_at=dropped_at, attachments=())
    assert report.holds
    assert not report.has_envelope
    assert report.dropped_at == dropped_at


def test_a_refusal_for_a_broken_seal_is_evidence_of_just_that(
    case: Case, tmp_path: Path, named: NamedAuthority
) -> None:
    """The hub attests that it refused the bytes for the fault that they have; for another fault they are not it."""
    broken = case.sealed.data.replace("Báo cáo".encode(), "Báo cao".encode())

    def refused_for(rule: str) -> EvidenceReport:
        rejection = case.receipt(ReceiptEvent.SUBMISSION_REJECTION, OF_HUB, reason=Reason(rule, "It was refused."))
        return judged(case, tmp_path, named, *case.signed(rejection), envelope=broken, attachments=())

    assert refused_for("seal-digest").holds
    assert faults(refused_for("recipient-unknown")) == {("envelope.xml", "seal-digest")}


def test_nothing_makes_no_evidence(case: Case, tmp_path: Path) -> None:
    """A message of which neither bytes nor receipts are held gives no file."""
    with pytest.raises(EvidenceRejected) as refusal:
        write_evidence(tmp_path / "none.zip", case.contents(envelope=None, receipts=()))
    assert refusal.value.code == "evidence-empty"
    assert not (tmp_path / "none.zip").exists()
