"""The guard `pdf-signatures`: who signed the PDF files, when, and whether the signatures stand for them."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from adapters.guards.pdf_process import Look, PdfProcess
from adapters.guards.protocol import (
    Guard,
    GuardContext,
    GuardedAttachment,
    GuardedMessage,
    Passes,
    Refuses,
    Verdict,
    Way,
)
from adapters.pdf_signatures import PdfSignature
from adapters.sdk import Health
from runtime.files import make_private_folder, storage_errors
from runtime.settings import Settings, settings_of
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.limits import MIB


def _name(name: str) -> bytes:
    """The pattern of a PDF name, each letter of which may stand as # and its number in hex (ISO 32000-2 7.3.5)."""
    return b"/" + b"".join(b"(?:%s|#(?i:%02x))" % (letter.encode(), ord(letter)) for letter in name)


#: One of these is in every file with signatures: the key of each signature (12.8.1), or, where that is compressed, the
#: kind of the streams that hold compressed objects (7.5.7), which itself is not.
_MARK: Final = re.compile(b"|".join(map(_name, ("ByteRange", "ObjStm"))))
_LONGEST_MARK: Final = len("/") + 3 * len("ByteRange")
#: Readers take a file whose head stands within so many bytes.
_HEAD: Final = 1024
#: Seconds in which any file has been read, or given up.
_IN_USE: Final = 3600


class Demand(StrEnum):
    """What is asked of PDF files, each more than the one before."""

    SHOW = "show"
    SOUND = "sound"
    SIGNED = "signed"
    TRUSTED = "trusted"


class _Rank(IntEnum):
    SHOW = 0
    SOUND = 1
    SIGNED = 2
    TRUSTED = 3


class PdfSettings(Settings):
    """Signatures in PDF files: looked at, shown with the document, and asked for, as set.

    show: nothing is refused. sound: a signature that is there must be whole, and nothing forbidden added after it.
    signed: every PDF file has a signature, and all are sound. trusted: and all lead to a trust anchor.
    """

    outgoing: Demand = Demand.SHOW
    """What is asked of PDF files that go out: show, sound, signed or trusted."""
    incoming: Demand = Demand.SHOW
    """What is asked of PDF files that come in."""
    anchors: Annotated[Path | None, BeforeValidator(lambda value: value or None)] = None
    """A folder of certificates (.pem, .crt, .cer) of the authorities to trust; relative to the node's folder. Empty: no
    signature counts as trusted. Looked into for each file."""
    largest_bytes: Annotated[int, Field(ge=1)] = 100 * MIB
    """A larger file that may be signed is not read; where anything is asked of signatures, it is refused."""
    seconds: Annotated[float, Field(gt=0, le=600)] = 20.0
    """How long a file may take to be read."""
    memory_bytes: Annotated[int, Field(ge=256 * MIB)] = 768 * MIB
    """How much memory the process that reads files may take."""


async def open_pdf_signatures(context: GuardContext) -> Guard:
    """Raises `settings-invalid`, `anchors-missing`."""
    settings = settings_of(PdfSettings, context.settings, source=f"[guards.{context.name}]")
    anchors = context.node_folder / settings.anchors if settings.anchors else None
    if anchors is not None and not anchors.is_dir():
        raise Rejected(
            "anchors-missing",
            f"{anchors} is no folder.",
            element=f"guards.{context.name}.anchors",
            mend="Make it, and put the authorities' certificates into it.",
        )
    await asyncio.to_thread(_drop_leavings, context.folder)
    return _PdfSignatures(settings, anchors, context.folder, context.clock)


def _drop_leavings(folder: Path) -> None:
    """Drop files that a process which was killed had left; another may have newer ones in use."""
    with storage_errors(folder):
        for path in folder.glob("*.pdf"):
            if path.stat().st_mtime < time.time() - _IN_USE:
                path.unlink(missing_ok=True)


class _PdfSignatures:
    def __init__(
        self, settings: PdfSettings, anchors: Path | None, folder: Path, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._anchors = anchors
        self._folder = folder
        self._clock = clock
        self._process = PdfProcess(seconds=settings.seconds, memory=settings.memory_bytes)

    async def judge(self, message: GuardedMessage) -> Verdict:
        demand = self._settings.incoming if message.way is Way.INCOMING else self._settings.outgoing
        signatures: dict[Sha256Hex, tuple[PdfSignature, ...]] = {}
        notes: list[str] = []
        refusal: tuple[str, str] | None = None
        for attachment in message.attachments:
            look = await self._look(attachment)
            if look is None:
                continue
            if look.signatures:
                signatures[attachment.digest] = look.signatures
            if look.fault:
                notes.append(f"{attachment.name[:120]!r}: {look.fault}")
            refusal = refusal or _refusal(attachment, look, _Rank[demand.name])
        if refusal is not None:
            return Refuses(*refusal, signatures=signatures)
        return Passes("; ".join(notes), signatures)

    async def _look(self, attachment: GuardedAttachment) -> Look | None:
        """None for what is no PDF file."""
        may_be_signed = await _may_be_signed(attachment)
        if may_be_signed is None:
            return None
        if not may_be_signed:
            return Look()
        if attachment.size > self._settings.largest_bytes:
            return Look(fault=f"It is larger than {self._settings.largest_bytes} bytes, and was not read.")
        async with self._filed(attachment) as path:
            anchors = await asyncio.to_thread(self._anchor_files)
            return await self._process.look(path, anchors, self._clock().astimezone(UTC))

    def _anchor_files(self) -> list[Path]:
        if self._anchors is None:
            return []
        with storage_errors(self._anchors):
            return sorted(path for path in self._anchors.iterdir() if path.suffix in (".pem", ".crt", ".cer"))

    @asynccontextmanager
    async def _filed(self, attachment: GuardedAttachment) -> AsyncIterator[Path]:
        """The attachment as a file, for a while: the process reads it from end to end and back."""
        make_private_folder(self._folder)
        path = self._folder / f"{secrets.token_hex(8)}.pdf"
        try:
            with storage_errors(path), path.open("xb") as file:
                async with attachment.open(0) as chunks:
                    async for chunk in chunks:
                        await asyncio.to_thread(file.write, chunk)
            yield path
        finally:
            path.unlink(missing_ok=True)

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None:
        await self._process.close()


async def _may_be_signed(attachment: GuardedAttachment) -> bool | None:
    """Whether a PDF file can have signatures, read through once; None for a file of another kind."""
    if not attachment.size:
        return None
    seen = b""
    is_pdf = False
    async with attachment.open(0) as chunks:
        async for chunk in chunks:
            seen += chunk
            if not is_pdf:
                if b"%PDF-" in seen[:_HEAD]:
                    is_pdf = True
                elif len(seen) >= _HEAD:
                    return None
                else:
                    continue
            if _MARK.search(seen):
                return True
            seen = seen[-_LONGEST_MARK:]
    return False if is_pdf else None


def _refusal(attachment: GuardedAttachment, look: Look, rank: _Rank) -> tuple[str, str] | None:
    """The rule that is broken and why, if one is."""
    name = repr(attachment.name[:120])
    if rank >= _Rank.SOUND and look.fault:
        return "pdf-unreadable", f"Không đọc được chữ ký số. / Signatures of {name} cannot be read: {look.fault}"
    broken = next((each for each in look.signatures if not each.is_sound), None)
    if rank >= _Rank.SOUND and broken:
        return "pdf-signature-broken", f"Chữ ký số không hợp lệ. / The signature of {name} is broken: {broken.fault}"
    if rank >= _Rank.SOUND and look.count > len(look.signatures):
        return "pdf-unreadable", f"Quá nhiều chữ ký số. / {name} has {look.count} signatures: too many to be read."
    if rank >= _Rank.SIGNED and not look.signatures:
        return "pdf-unsigned", f"Tệp PDF chưa được ký số. / {name} bears no signature."
    strange = next((each for each in look.signatures if not each.trusted), None)
    if rank >= _Rank.TRUSTED and strange:
        return (
            "pdf-signer-untrusted",
            f"Chứng thư số chưa đáng tin. / {name} is signed by {strange.signer}, who is not trusted: {strange.fault}",
        )
    return None
