"""Attachments as they are kept, looked at for an audit: are the bytes there, and are they those that were named?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.blobs import BlobStore, OpenBlob
from schemas.auditing import FindingCode
from schemas.envelope import AttachmentSize, Sha256Hex
from schemas.errors import CongvanError


@dataclass(frozen=True, slots=True)
class KeptBytes:
    """Bytes kept in the database: their length, and the bytes themselves where they were read."""

    length: int
    content: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AttachmentFault:
    """Why an attachment is not what it should be. `of_file`: a file is gone, which may have been dropped meanwhile."""

    code: FindingCode
    sentence: str
    of_file: bool = False


@dataclass(frozen=True, slots=True)
class AttachmentAudit:
    """Looks at attachments; `deep` reads all their bytes, else presence and length are enough.

    `files` is None where a database was given alone, without the store of its files.
    """

    files: BlobStore | None
    deep: bool

    def reaches(self, kept: KeptBytes | None) -> bool:
        """Whether the attachment can be looked at; `kept` is None where its bytes are a file."""
        return kept is not None or self.files is not None

    def fault(self, named: AttachmentSize, kept: KeptBytes | None) -> AttachmentFault | None:
        """What is wrong with the attachment that an envelope names, which this `reaches`."""
        if kept is not None:
            return self._compared(named, kept.length, lambda: hashlib.sha256(kept.content or b"").hexdigest())
        if self.files is None:
            raise ValueError("without the store of files nothing can be said of one")
        try:
            with self.files.open(named.digest) as blob:
                return self._compared(named, blob.size, lambda: _digest(blob))
        except CongvanError as error:
            if error.code.startswith("blob-store-"):
                # What cannot be looked at is not missing: the audit cannot be done now.
                raise
            return _gone(named)
        except OSError:
            return _gone(named)

    def _compared(self, named: AttachmentSize, size: int, digest: Callable[[], Sha256Hex]) -> AttachmentFault | None:
        if size != named.size:
            return AttachmentFault(
                FindingCode.ATTACHMENT_SIZE,
                f"The attachment {named.digest} has {size} bytes; its envelope names {named.size}.",
            )
        if self.deep and digest() != named.digest:
            return AttachmentFault(
                FindingCode.ATTACHMENT_CHANGED,
                f"The bytes of the attachment {named.digest} were changed: they have another SHA-256.",
            )
        return None


def _digest(blob: OpenBlob) -> Sha256Hex:
    found = hashlib.sha256()
    while chunk := blob.read():
        found.update(chunk)
    return found.hexdigest()


def _gone(named: AttachmentSize) -> AttachmentFault:
    return AttachmentFault(
        FindingCode.ATTACHMENT_MISSING,
        f"The attachment {named.digest} ({named.size} bytes) is missing: its file is gone or cannot be read.",
        of_file=True,
    )
