"""edXML files that a person names on the command line: opened, told apart by form, read with what they hold."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from certs.signature_profile import ds
from runtime.files import storage_errors
from schemas.classic_elements import ClassicElement
from schemas.classic_reader import ClassicMessage, read_classic
from schemas.envelope import CONTENT_ID_PREFIX, Envelope, Sha256Hex
from schemas.errors import CongvanError, Rejected
from schemas.findings import Finding
from schemas.limits import DEFAULT_LIMITS, KIB, Limits
from schemas.message import Document, Message
from schemas.travel import parse_envelope, read_envelope
from schemas.xml import Element, line_of

CHUNK = 256 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentFile:
    """An attachment as a file names it.

    `size` and `digest` are those of the attachment itself, also where it stands `wrapped` in a ZIP.
    """

    content_id: str
    name: str
    description: str
    content_type: str
    wrapped: bool
    size: int
    digest: Sha256Hex


@dataclass(frozen=True, slots=True)
class TravellingForm:
    """The envelope that travels: its bytes, and the values in it before anybody verified a seal."""

    data: bytes = field(repr=False)
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class EdxmlFile:
    """A file of either form. `travelling` is None where the file is of the classic form.

    `root` is the file element by element, texts as written.
    """

    path: Path
    root: ClassicElement
    message: Message
    attachments: tuple[AttachmentFile, ...]
    findings: tuple[Finding, ...]
    travelling: TravellingForm | None


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file at `path`, to read from.

    Raises:
        Rejected: `file-missing`, `file-is-folder`, `storage-permission`.
        Unavailable: the disk fails.
    """
    with storage_errors(path):
        if path.is_dir():
            raise Rejected("file-is-folder", f"{path} is a folder.", mend="Name a file in it.")
        with path.open("rb") as file:
            yield file


def chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


class DigestSink:
    """Digests an attachment and keeps nothing of it; `keep` gets the SHA-256 when it is whole."""

    def __init__(self, keep: Callable[[Sha256Hex], None]) -> None:
        self._digest = hashlib.sha256()
        self._keep = keep

    def write(self, data: bytes, /) -> None:
        self._digest.update(data)

    def close(self) -> None:
        self._keep(self._digest.hexdigest())

    def discard(self) -> None: ...


def read_edxml(path: Path, limits: Limits = DEFAULT_LIMITS) -> EdxmlFile:
    """What the file at `path` holds, whichever form it has.

    Raises:
        Rejected: as `opened`, `read_classic`, `parse_envelope` and `read_envelope`.
        Unavailable: the disk fails.
    """
    digests: dict[int, Sha256Hex] = {}
    try:
        with opened(path) as file:
            classic = read_classic(
                chunks(file),
                lambda index: DigestSink(functools.partial(digests.__setitem__, index)),
                limits=limits,
                source=str(path),
            )
    except Rejected as error:
        if error.code != "envelope-sealed-form":
            raise
        return _read_travelling(path, limits)
    return EdxmlFile(
        path=path,
        root=classic.root,
        message=classic.message,
        attachments=attachment_files(classic, digests),
        findings=classic.warnings,
        travelling=None,
    )


def attachment_files(classic: ClassicMessage, digests: Mapping[int, Sha256Hex]) -> tuple[AttachmentFile, ...]:
    """The attachments of a classic file, with the digests that its sinks found, by index."""
    return tuple(
        AttachmentFile(
            content_id=one.content_id,
            name=one.name,
            description=one.description,
            content_type=one.content_type,
            wrapped=one.wrapped,
            size=one.size,
            digest=digests[one.index],
        )
        for one in classic.attachments
    )


def _read_travelling(path: Path, limits: Limits) -> EdxmlFile:
    with opened(path) as file:
        data = file.read(limits.envelope_bytes + 1)
    try:
        root = parse_envelope(data, limits)
        envelope = read_envelope(root)
    except CongvanError as error:
        raise error.located(str(path)) from error.__cause__
    sizes = {size.digest: size.size for size in envelope.extension.attachment_sizes}
    references = envelope.message.references if isinstance(envelope.message, Document) else ()
    digests = [reference.content_id.removeprefix(CONTENT_ID_PREFIX) for reference in references]
    return EdxmlFile(
        path=path,
        root=_elements(root, None),
        message=envelope.message,
        attachments=tuple(
            AttachmentFile(
                content_id=reference.content_id,
                name=reference.attachment_name,
                description=reference.description,
                content_type=reference.content_type,
                wrapped=False,
                size=sizes[digest],
                digest=digest,
            )
            for reference, digest in zip(references, digests, strict=True)
        ),
        findings=(),
        travelling=TravellingForm(data, envelope),
    )


def _elements(element: Element, parent: ClassicElement | None) -> ClassicElement:
    """`element` and what is below it, without the signature: its place is with what is said of the seal."""
    name = element.tag.rpartition("}")[2]
    made = ClassicElement(name, line_of(element) or 0, parent, text=element.text or "")
    made.children.extend(_elements(child, made) for child in element if child.tag != ds("Signature"))
    return made
