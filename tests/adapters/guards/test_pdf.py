"""The guard for signed PDF files: what it finds in files signed at run time, and what it asks of them."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.guards.pdf import open_pdf_signatures
from adapters.guards.pdf_process import PdfProcess
from adapters.guards.protocol import Guard, Passes, Refuses, Way
from schemas.errors import Rejected
from schemas.limits import MIB
from tests.adapters.guards.guarded import attachment, context, message
from tests.adapters.guards.signed_pdfs import (
    Signatory,
    blank_pdf,
    changed_after_signing,
    compressed_pdf,
    locked,
    rewritten,
    signed_in_name_only,
    stamped,
)


class Signed:
    """Files signed by a person whose authority is trusted, and by a stranger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        known = Signatory.make(folder, "Nguyễn Thị Lan")
        stranger = Signatory.make(folder, "Người lạ")
        known.write_authority(folder / "anchors")
        self.plain = blank_pdf()
        self.trusted = known.sign(self.plain)
        self.twice = known.sign(self.trusted, "Chu ky 2")
        self.strange = stranger.sign(self.plain)
        self.changed = changed_after_signing(self.trusted)
        at = self.trusted.index(b"595")
        self.forged = self.trusted[:at] + b"495" + self.trusted[at + 3 :]
        self.stamped = stamped(self.plain)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    return Signed(tmp_path_factory.mktemp("pdfs"))


async def opened(signed: Signed, **settings: object) -> Guard:
    place = context("pdf-signatures", signed.folder, anchors="anchors", **settings)
    return await open_pdf_signatures(replace(place, clock=lambda: datetime.now(UTC)))


#: Intact, covers the whole file, modified after signing, trusted.
WORTH = {
    "trusted": [(True, True, False, True)],
    "strange": [(True, True, False, False)],
    "changed": [(True, False, True, True)],
    "twice": [(True, False, False, True), (True, True, False, True)],
    "forged": [(False, True, False, False)],
}


async def test_each_signature_is_told_with_what_it_is_worth(signed: Signed) -> None:
    """Signer, time, whether the bytes are whole and covered, changed afterwards, trusted: shown, nothing refused."""
    guard = await opened(signed)
    for file, expected in WORTH.items():
        pdf = attachment("công văn.pdf", getattr(signed, file))
        verdict = await guard.judge(message(attachment("thường.pdf", signed.plain), pdf))
        assert isinstance(verdict, Passes)
        assert set(verdict.signatures) == {pdf.digest}
        found = verdict.signatures[pdf.digest]
        assert [(one.intact, one.covers_whole_file, one.modified, one.trusted) for one in found] == expected, file
        assert all((one.fault is None) == (one.is_sound and one.trusted) for one in found)
        names = {"Common Name: Người lạ" if file == "strange" else "Common Name: Nguyễn Thị Lan"}
        assert {one.signer for one in found} == names
        assert all(one.signed_at and abs((datetime.now(UTC) - one.signed_at).total_seconds()) < 3600 for one in found)
    await guard.close()


BROKEN = {"changed": "pdf-signature-broken", "forged": "pdf-signature-broken", "garbled": "pdf-unreadable"}
REFUSED = {
    "show": {},
    "sound": BROKEN,
    "signed": BROKEN | {"plain": "pdf-unsigned"},
    "trusted": BROKEN | {"plain": "pdf-unsigned", "strange": "pdf-signer-untrusted"},
}


async def test_what_is_asked_of_signatures_is_the_policys(signed: Signed) -> None:
    """Each policy refuses what it is to, by its own rule, on its way alone; what is no PDF file is no matter of it."""
    process = PdfProcess(seconds=60.0, memory=768 * MIB)
    for demand, refused in REFUSED.items():
        guard = await opened(signed, incoming=demand)
        guard._process = process  # type: ignore[attr-defined] - one process serves them all here
        found: dict[str, str] = {}
        for name in ("plain", "trusted", "twice", "strange", "changed", "forged", "garbled"):
            content = b"%PDF-1.7\n/ByteRange [" if name == "garbled" else getattr(signed, name)
            file = attachment("a.pdf", content)
            verdict = await guard.judge(message(attachment("a.docx", b"PK\x03\x04"), file, way=Way.INCOMING))
            if isinstance(verdict, Refuses):
                found[name] = verdict.code
        assert found == refused, demand
        assert isinstance(await guard.judge(message(attachment("a.pdf", signed.forged))), Passes)
    await process.close()


async def test_no_way_of_writing_hides_a_broken_signature(signed: Signed) -> None:
    """Names with escapes, compressed objects, kinds that are not known, broken time stamps: none of them passes."""
    hidden = {
        "key": rewritten(signed.forged, b"/ByteRange", b"/#42yteRang#65"),
        "kind": rewritten(signed.forged, b"/Type /Sig\n", b"/Type /S#69g\n"),
        "no such kind": rewritten(signed.forged, b"/Type /Sig\n", b"/Type /Signed\n"),
        "compressed": signed_in_name_only("/adbe.pkcs7.detached", compressed=True),
        "compressed, written otherwise": signed_in_name_only("/adbe.pkcs7.detached", compressed=True).replace(
            b"/ObjStm", b"/Obj#53tm"
        ),
        "kind of another reader": signed_in_name_only("/adbe.x509.rsa_sha1", compressed=False),
        "time stamp": signed.stamped.replace(b"595", b"495", 1),
    }
    guard = await opened(signed, incoming="sound")
    found = {}
    for what, content in hidden.items():
        verdict = await guard.judge(message(attachment("a.pdf", content), way=Way.INCOMING))
        found[what] = verdict.code if isinstance(verdict, Refuses) else None
    await guard.close()
    assert set(found.values()) <= {"pdf-signature-broken", "pdf-unreadable"}, found


async def test_what_is_no_signature_is_not_taken_for_one(signed: Signed) -> None:
    """A time stamp that stands, and compression or a lock against changes of a file without signatures, pass."""
    guard = await opened(signed, incoming="sound", outgoing="signed")
    for content in (signed.stamped, locked(signed.plain), compressed_pdf()):
        file = attachment("a.pdf", content)
        verdict = await guard.judge(message(file, way=Way.INCOMING))
        assert isinstance(verdict, Passes), verdict
        assert not verdict.note
        assert not verdict.signatures
        asked = await guard.judge(message(file))
        assert isinstance(asked, Refuses)
        assert asked.code == "pdf-unsigned"
    await guard.close()


async def test_a_file_that_takes_too_long_ends_its_process_and_the_next_is_read(signed: Signed, tmp_path: Path) -> None:
    """What never ends to be read is given up as a fault; another process reads the next file."""
    endless = tmp_path / "endless.pdf"
    os.mkfifo(endless)
    whole = tmp_path / "whole.pdf"
    whole.write_bytes(signed.trusted)
    process = PdfProcess(seconds=3.0, memory=768 * MIB)
    try:
        stuck = await process.look(endless, [], datetime.now(UTC))
        assert stuck.fault is not None
        assert (await process.look(whole, [], datetime.now(UTC))).count == 1
    finally:
        await process.close()


async def test_a_file_that_asks_for_too_much_memory_is_a_fault(signed: Signed, tmp_path: Path) -> None:
    """Within too little memory for its reader the process ends, and nothing but a fault is said of the file."""
    whole = tmp_path / "whole.pdf"
    whole.write_bytes(signed.trusted)
    process = PdfProcess(seconds=20.0, memory=48 * MIB)
    try:
        look = await process.look(whole, [], datetime.now(UTC))
        assert look.fault is not None
        assert look.signatures == ()
    finally:
        await process.close()


async def test_what_is_larger_than_is_read_is_said_and_nothing_is_left_behind(signed: Signed) -> None:
    """A signed file beyond the limit is a fault, refused where signatures are asked for; no copy of a file stays."""
    guard = await opened(signed, largest_bytes=1000, incoming="sound")
    file = attachment("a.pdf", signed.trusted)
    shown = await guard.judge(message(file))
    assert isinstance(shown, Passes)
    assert "1000 bytes" in shown.note
    assert isinstance(await guard.judge(message(file, way=Way.INCOMING)), Refuses)
    await guard.close()
    assert list((signed.folder / "guard").glob("*.pdf")) == []


async def test_a_folder_of_anchors_that_is_not_there_is_an_error(signed: Signed) -> None:
    """A misspelt folder must not mean that nobody is trusted."""
    with pytest.raises(Rejected, match="absent"):
        await open_pdf_signatures(context("pdf-signatures", signed.folder, anchors="absent"))
