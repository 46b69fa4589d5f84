"""The agency directory: which codes exist, who serves them, which keys may sign for them, whom to trust for what.

It holds the groups as well that agencies can be written to by, so that whoever has an acceptance can tell for whom.

The directory grows by signed versions. Each holds the entries that changed, its number, the digest of the version
before and an expiry; whoever applies all versions in order holds the directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

#: The previous digest that version 1 names: there is none before it.
NO_PREVIOUS = "0" * 64


class EntryStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyEntry:
    """An agency: its code, its older codes, its name, and the connection that serves it."""

    code: AgencyCode
    name: str
    older_codes: tuple[AgencyCode, ...] = ()
    connection: str
    status: EntryStatus = EntryStatus.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEntry:
    """A node (or child hub): the certificates (DER) whose keys may seal for every agency that it serves.

    `connection` is the hub's id of it.
    """

    connection: str
    name: str
    seal_certificates: tuple[bytes, ...] = ()
    status: EntryStatus = EntryStatus.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorEntry:
    """A trust anchor (certificate, DER) and the code prefixes it holds for; the empty prefix `""` holds for all.

    A withdrawn anchor is one with no prefixes.
    """

    certificate: bytes
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEntry:
    """Agencies that are written to together: `members` are codes, of today or older, and selectors such as `H23.*`.

    They are kept sorted, as `schemas.recipients.recipient_text` writes them. A withdrawn group is one without members.
    """

    group: str
    title: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryVersion:
    """One signed step of the directory; the entries replace those of the same key."""

    number: int
    previous: Sha256Hex
    issued_at: datetime
    expires_at: datetime
    agencies: tuple[AgencyEntry, ...] = ()
    connections: tuple[ConnectionEntry, ...] = ()
    anchors: tuple[AnchorEntry, ...] = ()
    groups: tuple[GroupEntry, ...] = ()


def prefix_covers(prefix: str, code: AgencyCode) -> bool:
    """True if `code` is `prefix` or stands below it, part by part: `H2` covers neither `H23` nor `H2X`."""
    return prefix in ("", code.value) or code.value.startswith(prefix + ".")
