"""An item of out/ read whole, in a thread: copied into the spool, digested, its text turned into values."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from adapters.content_types import content_type_of
from adapters.filedrop.opening import open_regular
from adapters.filedrop.spool import CHUNK, Copy, Spool
from adapters.filedrop.watching import METADATA_NAMES, Item, ItemKind, file_state, is_changed, is_ignored
from adapters.sdk import OutgoingAttachment
from runtime.files import storage_errors
from schemas.classic_reader import ClassicAttachment, read_classic
from schemas.envelope import Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.findings import Finding
from schemas.limits import KIB, Limits
from schemas.message import Document, Message
from schemas.metadata import AttachmentFacts

#: Metadata is a page that a person wrote.
METADATA_LIMIT = 256 * KIB

_ZIP = "application/zip"


class Changed(Exception):  # noqa: N818 - says what happened; it is no error of anyone
    """The item is not what it was when it was looked at: somebody still works on it."""


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A classic edXML file: its message, its attachments unwrapped, what the reader noticed."""

    digest: Sha256Hex
    message: Message
    attachments: tuple[OutgoingAttachment, ...]
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ReadFolder:
    """A folder of documents: its metadata, and each document with what is said of it."""

    digest: Sha256Hex
    metadata: Mapping[str, object]
    attachments: tuple[OutgoingAttachment, ...]
    facts: tuple[AttachmentFacts, ...]


Parcel: TypeAlias = ReadMessage | ReadFolder


def read_item(item: Item, spool: Spool, limits: Limits) -> Parcel:
    """Read `item` into `spool`.

    Raises:
        Changed: the item changed since it was looked at, or is gone.
        Rejected: it cannot be sent as it stands; its reason names the file, the element and the line.
        Unavailable: the spool's disk is full.
    """
    try:
        match item.kind:
            case ItemKind.MESSAGE_FILE:
                return _read_message(item, spool, limits)
            case ItemKind.DOCUMENT_FOLDER:
                return _read_folder(item, spool, limits)
            case ItemKind.UNKNOWN_FILE:
                raise Rejected(
                    "item-unknown",
                    f"{item.name} is no edXML file (.edxml or .xml).",
                    mend="Put the document in a folder with a meta.toml that says what it is and to whom it goes.",
                )
            case ItemKind.NO_FILE:
                raise Rejected(
                    "item-kind",
                    f"{item.name} is a link, a pipe or a device.",
                    mend="Put the file itself there.",
                )
    except FileNotFoundError as error:
        raise Changed from error
    except Rejected as error:
        # Half a file breaks rules that the whole one keeps.
        if is_changed(item):
            raise Changed from error
        raise


def _read_message(item: Item, spool: Spool, limits: Limits) -> ReadMessage:
    digest = hashlib.sha256()
    sinks = _SpoolSinks(spool)
    with open_regular(item.path) as file:
        classic = read_classic(_pieces(file, digest.update), sinks.open, limits=limits, source=item.name)
        if file_state(os.fstat(file.fileno())) != item.state:
            raise Changed
    references = classic.message.references if isinstance(classic.message, Document) else ()
    types = {reference.content_id: reference.content_type for reference in references}
    return ReadMessage(
        digest=digest.hexdigest(),
        message=classic.message,
        attachments=tuple(
            OutgoingAttachment(
                name=one.name or f"attachment-{one.index + 1}",
                content_type=_unwrapped_type(one, types.get(one.content_id)),
                description=one.description,
                path=sinks.kept[one.index],
            )
            for one in classic.attachments
        ),
        warnings=classic.warnings,
    )


def _unwrapped_type(attachment: ClassicAttachment, in_manifest: str | None) -> str:
    """The type of the file itself: what is wrapped in a ZIP is called by the ZIP's type, often in the manifest too."""
    if not attachment.wrapped or attachment.content_type not in ("", _ZIP):
        return attachment.content_type or content_type_of(attachment.name)
    return in_manifest if in_manifest not in (None, "", _ZIP) else content_type_of(attachment.name)


class _SpoolSinks:
    """The sinks of a message's attachments, each a file of the spool; `kept` are those that were closed whole."""

    def __init__(self, spool: Spool) -> None:
        self.kept: dict[int, Path] = {}
        self._spool = spool

    def open(self, index: int) -> _SpoolSink:
        return _SpoolSink(self._spool.new_file(), functools.partial(self.kept.__setitem__, index))


class _SpoolSink:
    def __init__(self, file: BinaryIO, keep: Callable[[Path], None]) -> None:
        self._file = file
        self._path = Path(file.name)
        self._keep = keep

    def write(self, data: bytes) -> None:
        with storage_errors(self._path):
            self._file.write(data)

    def close(self) -> None:
        with storage_errors(self._path):
            self._file.close()
        self._keep(self._path)

    def discard(self) -> None:
        # What the buffer holds may not fit on the disk any more, and nobody wants it.
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _pieces(file: BinaryIO, update: Callable[[bytes], None]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        update(piece)
        yield piece


def _read_folder(item: Item, spool: Spool, limits: Limits) -> ReadFolder:
    try:
        folder = os.open(item.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise Changed from error
    except PermissionError as error:
        raise Rejected(
            "item-permission", f"The node may not read the folder {item.name}.", mend="Let the node's user read it."
        ) from error
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not is_ignored(entry.name))
        metadata_name = _metadata_name(names)
        names.remove(metadata_name)
        if len(names) > limits.attachments:
            raise LimitExceeded(
                "too-many-attachments",
                f"The folder holds {len(names)} documents, and {limits.attachments} may go in one message.",
                mend="Send them in several messages.",
            )
        with _located(metadata_name), open_regular(Path(metadata_name), folder=folder) as file:
            metadata_text = file.read(METADATA_LIMIT + 1)
            metadata = _metadata(metadata_name, metadata_text)
        copies = _copies(names, folder, spool, limits)
    finally:
        os.close(folder)
    if is_changed(item):
        raise Changed
    digests = {name: copy.digest for name, copy in zip(names, copies, strict=True)}
    digests[metadata_name] = hashlib.sha256(metadata_text).hexdigest()
    return ReadFolder(
        digest=hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest(),
        metadata=metadata,
        attachments=tuple(
            OutgoingAttachment(name=name, content_type=content_type_of(name), description=name, path=copy.path)
            for name, copy in zip(names, copies, strict=True)
        ),
        facts=tuple(
            AttachmentFacts(name=name, digest=copy.digest, size=copy.size, content_type=content_type_of(name))
            for name, copy in zip(names, copies, strict=True)
        ),
    )


def _metadata_name(names: Sequence[str]) -> str:
    found = [name for name in METADATA_NAMES if name in names]
    if not found:
        raise Changed
    if len(found) > 1:
        raise Rejected(
            "metadata-twice", "The folder holds both meta.toml and meta.json.", mend="Keep the one that is meant."
        )
    return found[0]


def _copies(names: Sequence[str], folder: int, spool: Spool, limits: Limits) -> list[Copy]:
    copies: list[Copy] = []
    left = limits.message_attachment_bytes
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise Rejected(
                "item-name", f"The name of a document is no text in UTF-8: {name!r}.", mend="Rename it."
            ) from error
        with _located(name), open_regular(Path(name), folder=folder) as file:
            copies.append(spool.copy(file, limit=min(limits.attachment_bytes, left)))
        left -= copies[-1].size
    return copies


@contextlib.contextmanager
def _located(name: str) -> Iterator[None]:
    """Let an error name the file it is about."""
    try:
        yield
    except Rejected as error:
        raise error.located(name) from error


def _metadata(name: str, text: bytes) -> Mapping[str, object]:
    if len(text) > METADATA_LIMIT:
        raise LimitExceeded(
            "metadata-too-large", f"{name} has more than {METADATA_LIMIT} bytes.", mend="Keep the documents beside it."
        )
    try:
        # Notepad begins a file with a byte order mark.
        table: object = (tomllib.loads if name.endswith(".toml") else json.loads)(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Rejected(
            "metadata-syntax", f"{name} cannot be read: {error}.", mend="Correct it at that place."
        ) from error
    if not isinstance(table, dict):
        raise Rejected("metadata-syntax", f"{name} is no table of keys.", mend='Write an object: { "subject": … }.')
    return table
