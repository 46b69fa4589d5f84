"""What somebody may try against the evidence of another's message, or of its own."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from certs.evidence_report import EvidenceReport
from certs.evidence_verifying import NamedAuthority, verify_evidence
from certs.sealing import Sealed, seal
from schemas.errors import Rejected
from schemas.receipts import ReceiptEvent, SignedReceipt
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import rejection
from tests.together.ground import Ground
from tests.together.site import Site, opened


def sealed_by(site: Site, node: str, *codes: str) -> Sealed:
    return seal(document(*codes), site.node(node).foundation.identity.seal, site.clock())


def claiming(sealed: Sealed, message_id: str) -> bytes:
    """The envelope with another's message id in place of its own: its seal is broken."""
    digest = base64.b64encode(bytes.fromhex(message_id))
    return re.sub(rb"(DigestValue[^>]*>)([^<]+)", lambda found: found[1] + digest, sealed.data, count=1)


def with_broken_signature(sealed: Sealed) -> bytes:
    return re.sub(rb"(SignatureValue[^>]*>)(....)", lambda found: found[1] + b"AAAA", sealed.data, count=1)


async def refusal_of(site: Site, node: str, data: bytes) -> SignedReceipt | None:
    """The hub's signed word, if any, with which it refuses `data` to a node."""
    error = await rejection(site.node(node).hub.submit(data, {}))
    assert isinstance(error, Rejected)
    return error.receipt


async def evidence_of(site: Site, message_id: str, path: Path) -> EvidenceReport:
    held = site.hub.foundation.evidence
    await held.write(message_id, path)
    return verify_evidence(path, NamedAuthority(held.authority))


def parts(report: EvidenceReport) -> list[str]:
    return sorted(finding.what for finding in report.findings)


async def test_nobody_gets_the_hubs_word_against_its_own_acceptance(ground: Ground, tmp_path: Path) -> None:
    """Broken bytes with the id of an accepted message are refused unsigned, to its recipient and to its sender."""
    async with opened(ground.copy(tmp_path / "site"), ground.made_at) as site:
        sealed = sealed_by(site, "g22", "G22", "H23")
        await site.node("g22").hub.submit(sealed.data, {})
        await site.run_dry()
        before = await evidence_of(site, sealed.message_id, tmp_path / "before.zip")
        foreign = claiming(sealed_by(site, "h23", "H23", "G22"), sealed.message_id)
        assert await refusal_of(site, "h23", foreign) is None
        assert await refusal_of(site, "g22", with_broken_signature(sealed)) is None
        after = await evidence_of(site, sealed.message_id, tmp_path / "after.zip")
        assert before.holds
        assert after.holds
        assert parts(after) == parts(before)


async def test_a_foreign_refusal_of_an_id_spoils_no_evidence_of_it(ground: Ground, tmp_path: Path) -> None:
    """Of what was signed before the acceptance, the sender's own refusal goes into the evidence, and no other's."""
    async with opened(ground.copy(tmp_path / "site"), ground.made_at) as site:
        sealed = sealed_by(site, "g22", "G22", "H23")
        foreign = claiming(sealed_by(site, "h23", "H23", "G22"), sealed.message_id)
        assert await refusal_of(site, "h23", foreign) is not None
        assert await refusal_of(site, "g22", with_broken_signature(sealed)) is not None
        await site.node("g22").hub.submit(sealed.data, {})
        report = await evidence_of(site, sealed.message_id, tmp_path / "evidence.zip")
        assert report.holds
        assert parts(report).count(ReceiptEvent.SUBMISSION_REJECTION) == 1


async def test_evidence_is_named_in_any_spelling_of_an_id(ground: Ground, tmp_path: Path) -> None:
    """The id of a refused message is taken as that of an accepted one: in capitals, with blanks around, cut short."""
    async with opened(ground.copy(tmp_path / "site"), ground.made_at) as site:
        accepted, refused = sealed_by(site, "g22", "G22", "H23"), sealed_by(site, "g22", "G22", "H99")
        await site.node("g22").hub.submit(accepted.data, {})
        assert await refusal_of(site, "g22", refused.data) is not None
        # A claimed id that begins like the accepted one.
        alike = accepted.message_id[:8] + "0" * 56
        assert await refusal_of(site, "g22", claiming(refused, alike)) is not None
        for sealed in (accepted, refused):
            name = f" {sealed.message_id[:8].upper()}\n"
            report = await evidence_of(site, name, tmp_path / "evidence.zip")
            assert (report.message_id, report.holds) == (sealed.message_id, True)
