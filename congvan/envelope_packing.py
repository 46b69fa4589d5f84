"""Files into a classic edXML file, and out of one."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from adapters.composing import METADATA_LIMIT, parse_metadata
from adapters.content_types import content_type_of
from congvan.envelope_files import AttachmentFile, attachment_files, chunks, opened
from runtime.files import storage_errors
from schemas.classic_reader import read_classic
from schemas.classic_writer import AttachmentSource, write_classic
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.findings import Finding
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.metadata import AttachmentFacts, document_from_metadata, sender_from_metadata
from schemas.names import safe_name


@dataclass(frozen=True, slots=True)
class Packed:
    document_id: str
    findings: tuple[Finding, ...]


def pack_document(meta: Path, files: Sequence[Path], out: Path, now: datetime) -> Packed:
    """Write the document that `meta` describes, with `files` as its attachments, to `out`: whole or not at all.

    Raises:
        Rejected: `metadata-kind`, `metadata-sender`; as `opened`, `parse_metadata`, `document_from_metadata` and
            `write_classic`.
        Unavailable: a disk is full or fails.
    """
    if meta.suffix not in (".toml", ".json"):
        raise Rejected(
            "metadata-kind", f"{meta} is neither .toml nor .json.", mend="Write the metadata in one of the two."
        )
    with opened(meta) as file:
        metadata = parse_metadata(meta.name, file.read(METADATA_LIMIT + 1))
    sender = sender_from_metadata(metadata)
    if sender is None:
        raise Rejected(
            "metadata-sender", f"{meta} does not say who sends it.", element="from", mend='Write, as in: from = "G22".'
        )
    facts = [_facts(path) for path in files]
    document = document_from_metadata(metadata, sender=sender, recipients=(), now=now, attachments=facts)
    sources = [
        AttachmentSource(
            content_id=reference.content_id,
            name=reference.attachment_name,
            description=reference.description,
            size=fact.size,
            open=functools.partial(opened, path),
        )
        for path, fact, reference in zip(files, facts, document.references, strict=True)
    ]
    with _replacing(out) as file:
        return Packed(document.document_id, write_classic(document, sources, file.write))


def _facts(path: Path) -> AttachmentFacts:
    digest, size = hashlib.sha256(), 0
    with opened(path) as file:
        for chunk in chunks(file):
            digest.update(chunk)
            size += len(chunk)
    return AttachmentFacts(
        name=path.name, digest=digest.hexdigest(), size=size, content_type=content_type_of(path.name)
    )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when all was written, and leaves it alone otherwise."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with storage_errors(path):
            with temporary.open("xb") as file:
                yield file
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def unpack_attachments(path: Path, folder: Path, limits: Limits = DEFAULT_LIMITS) -> list[tuple[Path, AttachmentFile]]:
    """Write the attachments of the classic file at `path` into `folder`, under safe names, and say where each went.

    They are shown when the whole file was read; where it is refused, nothing is left. What stands in `folder` stays.

    Raises:
        Rejected: as `opened` and `read_classic`.
        Unavailable: a disk is full or fails.
    """
    made = not folder.exists()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        hidden = folder / f".unpacking-{secrets.token_hex(8)}"
        hidden.mkdir()
    try:
        sinks: dict[int, _FileSink] = {}

        def open_sink(index: int) -> _FileSink:
            return _FileSink(hidden / secrets.token_hex(8), index, sinks)

        with opened(path) as file:
            classic = read_classic(chunks(file), open_sink, limits=limits, source=str(path))
        digests = {index: sink.digest for index, sink in sinks.items()}
        written = []
        with storage_errors(folder):
            taken = {entry.name for entry in folder.iterdir()}
            for index, attachment in enumerate(attachment_files(classic, digests)):
                shown = folder / safe_name(attachment.name, taken)
                taken.add(shown.name)
                sinks[index].path.rename(shown)
                written.append((shown, attachment))
        return written
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if made:
            # Only a folder that is still empty goes.
            with contextlib.suppress(OSError):
                folder.rmdir()


class _FileSink:
    """An attachment on its way into a file; when it is whole it is in `whole` under its index."""

    def __init__(self, path: Path, index: int, whole: dict[int, _FileSink]) -> None:
        self.path = path
        self._index = index
        self._whole = whole
        self._digest = hashlib.sha256()
        with storage_errors(path):
            self._file = path.open("xb")

    def write(self, data: bytes, /) -> None:
        self._digest.update(data)
        with storage_errors(self.path):
            self._file.write(data)

    def close(self) -> None:
        with storage_errors(self.path):
            self._file.close()
        self._whole[self._index] = self

    def discard(self) -> None:
        # What the buffer holds may not fit on the disk any more, and nobody wants it.
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)

    @property
    def digest(self) -> Sha256Hex:
        return self._digest.hexdigest()
