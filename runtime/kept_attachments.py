"""Attachments as they are kept, looked at for an audit: are the bytes there, and are they those that were named?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from runtime.blobs import CHUNK, BlobStore
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
    """Looks at attachments; `deep` reads all their bytes, else presence and length are enough."""

    files: BlobStore
    deep: bool

    def fault(self, named: AttachmentSize, kept: KeptBytes | None) -> AttachmentFault | None:
        """What is wrong with the attachment that an envelope names; `kept` is None where its bytes are a file."""
        if kept is None:
            size = self.files.size(named.digest)
            if size is None:
                return _gone(named)
        else:
            size = kept.length
        if size != named.size:
            return AttachmentFault(
                FindingCode.ATTACHMENT_SIZE,
                f"The attachment {named.digest} has {size} bytes; its envelope names {named.size}.",
            )
        if not self.deep:
            return None
        digest = self._file_digest(named.digest) if kept is None else hashlib.sha256(kept.content or b"").hexdigest()
        if digest is None:
            return _gone(named)
        if digest != named.digest:
            return AttachmentFault(
                FindingCode.ATTACHMENT_CHANGED,
                f"The bytes of the attachment {named.digest} were changed: they have another SHA-256.",
            )
        return None

    def _file_digest(self, digest: Sha256Hex) -> Sha256Hex | None:
        try:
            with self.files.open(digest) as file:
                found = hashlib.sha256()
                while chunk := file.read(CHUNK):
                    found.update(chunk)
        except (OSError, CongvanError):
            return None
        return found.hexdigest()


def _gone(named: AttachmentSize) -> AttachmentFault:
    return AttachmentFault(
        FindingCode.ATTACHMENT_MISSING,
        f"The attachment {named.digest} ({named.size} bytes) is missing: its file is gone or cannot be read.",
        of_file=True,
    )
