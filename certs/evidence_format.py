"""The form of an evidence container: a ZIP that holds all that proves the life of one message.

    mimetype                     first and stored: `application/vnd.congvan.evidence+zip`
    META-INF/manifest.json       every other file: name, kind, size, SHA-256; each receipt with the name of its proof
    summary.txt                  for people; proves nothing
    envelope.xml                 the sealed envelope, byte for byte, unless it was dropped
    receipts/, proofs/           byte for byte; a proof is named by its SHA-256
    authority.pem                the hub's authority, as whoever made the container knows it
    certificates/                what signed, by fingerprint, to be looked at: signatures bring their own
    directory/                   signed versions of the agency directory
    attachments/                 by SHA-256, if they were asked for

The form follows ASiC-E (ETSI EN 319 162-1) in its outward shape only: what is signed inside is signed already.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import MalformedMessage
from schemas.instants import instant_text, parse_instant
from schemas.json_members import Members, parse_object
from schemas.limits import GIB, KIB, MIB

MEDIA_TYPE: Final = "application/vnd.congvan.evidence+zip"
MIMETYPE: Final = "mimetype"
MANIFEST: Final = "META-INF/manifest.json"

#: Raised when a reader must know of a change in order to judge rightly.
FORMAT: Final = 1


class FileKind(StrEnum):
    """What a file of the container is."""

    SUMMARY = "summary"
    ENVELOPE = "envelope"
    RECEIPT = "receipt"
    PROOF = "proof"
    AUTHORITY = "authority"
    CERTIFICATE = "certificate"
    DIRECTORY = "directory"
    ATTACHMENT = "attachment"


#: The longest file of each kind that a reader takes.
LONGEST: Final = {
    FileKind.SUMMARY: 16 * MIB,
    FileKind.ENVELOPE: 64 * MIB,
    FileKind.RECEIPT: 64 * KIB,
    FileKind.PROOF: 4 * MIB,
    FileKind.AUTHORITY: 64 * KIB,
    FileKind.CERTIFICATE: 64 * KIB,
    FileKind.DIRECTORY: 128 * MIB,
    FileKind.ATTACHMENT: 100 * GIB,
}
#: All files but attachments together: they are held in memory.
LONGEST_TOGETHER: Final = 256 * MIB
LONGEST_MANIFEST: Final = 32 * MIB
MOST_FILES: Final = 100_000


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as the manifest has it; `proof` is the SHA-256 of a receipt's proof."""

    name: str
    kind: FileKind
    size: int
    sha256: Sha256Hex
    proof: Sha256Hex | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a container says of itself: nothing of it is signed.

    `gathered_by` names whose store it was made from; `dropped_at` is when the envelope was dropped there.
    """

    message_id: Sha256Hex
    gathered_by: str
    gathered_at: datetime
    dropped_at: datetime | None
    files: tuple[ListedFile, ...]


def write_manifest(manifest: Manifest) -> bytes:
    """The bytes of `manifest`, UTF-8, one line a file."""
    head = {
        "format": FORMAT,
        "message_id": manifest.message_id,
        "gathered_by": manifest.gathered_by,
        "gathered_at": instant_text(manifest.gathered_at),
        "dropped_at": instant_text(manifest.dropped_at) if manifest.dropped_at else "",
    }
    files = ",\n".join(json.dumps(_file_members(file), ensure_ascii=False) for file in manifest.files)
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "files": [\n{files}\n]}}\n'.encode()


def _file_members(file: ListedFile) -> dict[str, str | int]:
    members: dict[str, str | int] = {
        "name": file.name,
        "kind": file.kind.value,
        "size": file.size,
        "sha256": file.sha256,
        "proof": file.proof or "",
    }
    return members


def read_manifest(data: bytes) -> Manifest:
    """The manifest that `data` is. Raises MalformedMessage, naming the member."""
    members = parse_object(data)
    written_in = members.number("format")
    if written_in != FORMAT:
        raise MalformedMessage(
            "evidence-format-unknown",
            f"The evidence is written in format {written_in}; this program reads format {FORMAT}.",
            element="format",
            mend="Install a newer Congvan.",
        )
    return Manifest(
        message_id=members.value("message_id", _digest),
        gathered_by=members.text("gathered_by"),
        gathered_at=members.value("gathered_at", parse_instant),
        dropped_at=members.value("dropped_at", _instant_or_none),
        files=tuple(map(_file, members.objects("files"))),
    )


def names_of(files: Sequence[ListedFile], kind: FileKind) -> list[ListedFile]:
    """The files of one kind, in the manifest's order."""
    return [file for file in files if file.kind is kind]


def _file(members: Members) -> ListedFile:
    return ListedFile(
        name=members.text("name"),
        kind=members.value("kind", FileKind),
        size=members.number("size"),
        sha256=members.value("sha256", _digest),
        proof=members.value("proof", _digest_or_none),
    )


def _digest(text: str) -> Sha256Hex:
    if not is_sha256_hex(text):
        raise ValueError("no SHA-256")
    return text


def _digest_or_none(text: str) -> Sha256Hex | None:
    return _digest(text) if text else None


def _instant_or_none(text: str) -> datetime | None:
    return parse_instant(text) if text else None
