"""What software sends, read from the wire into the spool in constant memory: a multipart form, or a classic file."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import BodyPartReader, MultipartReader
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import ValidationError

from adapters.classic_files import ClassicFile, read_classic_file
from adapters.composing import parse_metadata
from adapters.content_types import UNKNOWN, content_type_of
from adapters.rest.operations import Call
from adapters.rest.shapes import OverrideRequest
from adapters.sdk import OutgoingAttachment
from adapters.spool import CHUNK, Spool
from runtime.files import storage_errors
from schemas.envelope import Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.limits import Limits
from schemas.metadata import AttachmentFacts

_MEDIA_TYPE: Final = re.compile(r"[!#$&^_.+0-9A-Za-z-]{1,127}/[!#$&^_.+0-9A-Za-z-]{1,127}", re.ASCII)
#: Classic files come under any of these; some clients can say nothing better than the last.
CLASSIC_TYPES: Final = ("application/xml", "text/xml", UNKNOWN)


@dataclass(frozen=True, slots=True)
class Form:
    """A document as a multipart form: its metadata, its files, and the digest of all of it, in whatever framing."""

    digest: Sha256Hex
    metadata: Mapping[str, object]
    attachments: tuple[OutgoingAttachment, ...]
    facts: tuple[AttachmentFacts, ...]
    override: OverrideRequest | None = None


@contextlib.asynccontextmanager
async def spooling(root: Path) -> AsyncIterator[Spool]:
    """A folder of the spool for one request."""
    spool = await asyncio.to_thread(Spool, root)
    try:
        yield spool
    finally:
        await asyncio.shield(asyncio.to_thread(spool.__exit__, None, None, None))


async def read_form(call: Call, spool: Spool, limits: Limits) -> Form:
    """The form that the request brings: a part `metadata`, perhaps one `override`, any number of `file`, in any order.

    Raises Rejected: `media-type`, `request-malformed`, `part-unknown`, `part-repeated`, `metadata-missing`,
    `metadata-too-large`, `metadata-syntax`, `override-malformed`, `attachment-nameless`, `attachment-too-large`,
    `too-many-attachments`; Unavailable: `storage-full`, and as `Call.chunk` does.
    """
    if call.request.content_type != "multipart/form-data":
        raise Rejected(
            "media-type", "The body is no multipart/form-data.", element="Content-Type", mend="Send a form of parts."
        )
    reading = _FormReading(call, spool, limits)
    try:
        await reading.read(MultipartReader(call.request.headers, call.request.content))
    except (ValueError, AssertionError, HttpProcessingError) as error:
        # All that aiohttp's reader raises for a body that is no such form.
        raise Rejected(
            "request-malformed", f"The multipart body is damaged: {error}.", mend="Let a library write it."
        ) from error
    return reading.form()


class _FormReading:
    def __init__(self, call: Call, spool: Spool, limits: Limits) -> None:
        self._call = call
        self._spool = spool
        self._limits = limits
        self._left = limits.message_attachment_bytes
        self._texts: dict[str, bytes] = {}
        self._files: list[tuple[OutgoingAttachment, AttachmentFacts]] = []

    async def read(self, reader: MultipartReader) -> None:
        while (part := await self._call.in_time(reader.next())) is not None:
            if not isinstance(part, BodyPartReader):
                raise ValueError("a part is multipart itself")
            match part.name:
                case "metadata" | "override" as name if name in self._texts:
                    raise Rejected("part-repeated", f"The part {name} stands twice.", element=name)
                case "metadata" | "override" as name:
                    self._texts[name] = await self._text(part, name)
                case "file":
                    await self._file(part)
                case name:
                    raise Rejected(
                        "part-unknown",
                        f"The form has a part {str(name)[:80]!r}.",
                        element=str(name)[:80],
                        mend="It has one part metadata, perhaps one part override, and parts file.",
                    )

    def form(self) -> Form:
        if "metadata" not in self._texts:
            raise Rejected("metadata-missing", "The form has no part metadata.", element="metadata")
        metadata = parse_metadata("metadata", self._texts["metadata"])
        said: dict[str, object] = {
            **{name: hashlib.sha256(text).hexdigest() for name, text in self._texts.items()},
            "files": [[facts.name, facts.content_type, facts.digest] for _, facts in self._files],
        }
        return Form(
            digest=hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
            metadata=metadata,
            attachments=tuple(attachment for attachment, _ in self._files),
            facts=tuple(facts for _, facts in self._files),
            override=_override(self._texts.get("override")),
        )

    async def _text(self, part: BodyPartReader, name: str) -> bytes:
        text = bytearray()
        while piece := await self._call.in_time(part.read_chunk(CHUNK)):
            text += piece
            if len(text) > self._call.json_bytes:
                raise LimitExceeded(
                    "metadata-too-large",
                    f"The part {name} has more than {self._call.json_bytes} bytes.",
                    element=name,
                )
        return bytes(text)

    async def _file(self, part: BodyPartReader) -> None:
        if len(self._files) >= self._limits.attachments:
            raise LimitExceeded(
                "too-many-attachments",
                f"The form has more than {self._limits.attachments} files.",
                mend="Send them in several messages.",
            )
        name = _name_of(part)
        content_type = _type_of(part, name)
        most = min(self._limits.attachment_bytes, self._left)
        size = 0
        digest = hashlib.sha256()
        file = await asyncio.to_thread(self._spool.new_file)
        try:
            while piece := await self._call.in_time(part.read_chunk(CHUNK)):
                size += len(piece)
                if size > most:
                    raise LimitExceeded(
                        "attachment-too-large", f"The file {name!r} has more than {most} bytes.", mend="Split it."
                    )
                await asyncio.to_thread(_write, file, piece, digest.update)
        finally:
            await asyncio.to_thread(_close, file)
        self._left -= size
        attachment = OutgoingAttachment(name=name, content_type=content_type, description=name, path=Path(file.name))
        facts = AttachmentFacts(name=name, digest=digest.hexdigest(), size=size, content_type=content_type)
        self._files.append((attachment, facts))


async def read_classic_body(call: Call, spool: Spool, limits: Limits) -> tuple[Sha256Hex, ClassicFile]:
    """The classic edXML file that is the body, and the SHA-256 of its bytes.

    Raises Rejected: `media-type`, `message-too-large`, and as `read_classic_file` does.
    """
    if call.request.content_type not in CLASSIC_TYPES:
        raise Rejected("media-type", "The body is no XML.", element="Content-Type", mend=f"Send {CLASSIC_TYPES[0]}.")
    digest = hashlib.sha256()
    size = 0
    file = await asyncio.to_thread(spool.new_file)
    try:
        while piece := await call.chunk():
            size += len(piece)
            if size > limits.message_bytes:
                raise LimitExceeded(
                    "message-too-large", f"The file has more than {limits.message_bytes} bytes.", mend="Split it."
                )
            await asyncio.to_thread(_write, file, piece, digest.update)
    finally:
        await asyncio.to_thread(_close, file)
    classic = await asyncio.to_thread(_classic, Path(file.name), spool, limits)
    return digest.hexdigest(), classic


def _classic(path: Path, spool: Spool, limits: Limits) -> ClassicFile:
    with path.open("rb") as file:
        return read_classic_file(_pieces(file), "edxml", spool, limits)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _override(text: bytes | None) -> OverrideRequest | None:
    if text is None:
        return None
    try:
        return OverrideRequest.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise Rejected(
            "override-malformed",
            "The part override is no JSON object with the texts by and reason, of 1 to 300 characters.",
            element="override",
            mend='Send {"by": "Trần Văn B, Chánh Văn phòng", "reason": "…"}.',
        ) from error


def _name_of(part: BodyPartReader) -> str:
    name = (part.filename or "").strip()
    # As browsers and curl escape what would end the header (WHATWG HTML, multipart/form-data encoding algorithm).
    for escape, letter in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        name = name.replace(escape, letter)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise Rejected("attachment-nameless", "The name of a file is no UTF-8.", element="file") from error
    if not name:
        raise Rejected(
            "attachment-nameless", "A file has no name.", element="file", mend='Send filename="…" with the part.'
        )
    return name


def _type_of(part: BodyPartReader, name: str) -> str:
    """The part's own word for what the file is, unless it says nothing."""
    said = part.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return said if said != UNKNOWN and _MEDIA_TYPE.fullmatch(said) else content_type_of(name)


def _write(file: BinaryIO, piece: bytes, update: Callable[[bytes], None]) -> None:
    with storage_errors(Path(file.name)):
        file.write(piece)
    update(piece)


def _close(file: BinaryIO) -> None:
    with storage_errors(Path(file.name)):
        file.close()
