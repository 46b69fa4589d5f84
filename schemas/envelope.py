"""An envelope: a message together with what edXML lacks, in one signed extension element of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from schemas.codes import AgencyCode
from schemas.message import Document, Message, Priority

#: SHA-256 in lower-case hex: a message id, or the digest of an attachment's bytes.
Sha256Hex: TypeAlias = str

_SHA256_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)

CONTENT_ID_PREFIX = "sha256-"


def is_sha256_hex(text: str) -> bool:
    return _SHA256_HEX.fullmatch(text) is not None


class SelectorKind(StrEnum):
    """How a selector names recipients: every active agency at or below a code, or the members of a group."""

    PREFIX = "prefix"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Selector:
    kind: SelectorKind
    value: str


class SecrecyLevel(StrEnum):
    """The levels of the law on state secrets. A document marked with one never enters."""

    SECRET = "mat"  # noqa: S105 - mật, the first level of secrecy, no password
    TOP_SECRET = "toi-mat"  # noqa: S105 - tối mật
    ABSOLUTE_SECRET = "tuyet-mat"  # noqa: S105 - tuyệt mật


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word that a document may travel although a guard reads a mark of secrecy in it: who, and why.

    Signed with the message and kept with it, at both ends. It lets no document through that has a secrecy level.
    """

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class AttachmentSize:
    """The exact length in bytes of the attachment whose SHA-256 is `digest`; each digest stands once."""

    digest: Sha256Hex
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """What travels beside the edXML message under the same signature (namespace `urn:congvan:edxml:1`).

    `submission_id` is the sender's own id of the act of sending (it keeps two equal documents apart);
    `about` the message ids of the messages that a recall, update, replacement or status speaks of; `expires_at` the
    instant from which on nobody wants it delivered any more (a hub may end it sooner).
    """

    submission_id: str
    about: tuple[Sha256Hex, ...] = ()
    selectors: tuple[Selector, ...] = ()
    secrecy: SecrecyLevel | None = None
    override: Override | None = None
    expires_at: datetime | None = None
    attachment_sizes: tuple[AttachmentSize, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    message: Message
    extension: Extension

    @property
    def sender(self) -> AgencyCode:
        return self.message.sender.organ_id

    @property
    def priority(self) -> Priority:
        """The message's own priority; a status has none and is normal until it inherits its document's lane."""
        return self.message.priority if isinstance(self.message, Document) else Priority.NORMAL
