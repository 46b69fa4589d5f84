"""An item of out/ read whole, in a thread: copied into the spool, digested, its text turned into values."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from adapters.classic_files import ClassicFile, read_classic_file
from adapters.composing import METADATA_LIMIT, parse_metadata
from adapters.content_types import content_type_of
from adapters.filedrop.opening import open_regular
from adapters.filedrop.watching import METADATA_NAMES, Item, ItemKind, file_state, is_changed, is_ignored
from adapters.sdk import OutgoingAttachment
from adapters.spool import CHUNK, Copy, Spool
from schemas.envelope import Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.limits import Limits
from schemas.metadata import AttachmentFacts


class Changed(Exception):  # noqa: N818 - says what happened; it is no error of anyone
    """The item is not what it was when it was looked at: somebody still works on it."""


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A classic edXML file, and the digest of its bytes."""

    digest: Sha256Hex
    classic: ClassicFile


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
    except OSError as error:
        # ESTALE: a share's server has no such file any more.
        if error.errno in (errno.ENOENT, errno.ESTALE):
            raise Changed from error
        raise
    except Rejected as error:
        # Half a file breaks rules that the whole one keeps.
        if is_changed(item):
            raise Changed from error
        raise


def _read_message(item: Item, spool: Spool, limits: Limits) -> ReadMessage:
    digest = hashlib.sha256()
    with open_regular(item.path) as file:
        classic = read_classic_file(_pieces(file, digest.update), item.name, spool, limits)
        if file_state(os.fstat(file.fileno())) != item.state:
            raise Changed
    return ReadMessage(digest.hexdigest(), classic)


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
            metadata = parse_metadata(metadata_name, metadata_text)
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
