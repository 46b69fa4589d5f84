"""Whom to believe: anchors, each for the codes it holds for, and what the directory says of each agency's signers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509

from schemas.codes import AgencyCode
from schemas.directory import EntryStatus, prefix_covers
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A certificate that is believed for codes at or below `prefixes`; the prefix `""` stands for every code."""

    certificate: x509.Certificate
    prefixes: tuple[str, ...]

    def covers(self, code: AgencyCode) -> bool:
        return any(prefix_covers(prefix, code) for prefix in self.prefixes)


@dataclass(frozen=True, slots=True)
class SignerBinding:
    """What the directory says of one agency: its code of today, its status, the certificates that may seal for it."""

    code: AgencyCode
    status: EntryStatus
    fingerprints: frozenset[Sha256Hex]


#: Looks up a code, today's or an older one, in the directory; None if the directory does not know it.
BindingLookup: TypeAlias = Callable[[AgencyCode], SignerBinding | None]


@dataclass(frozen=True, slots=True)
class Trust:
    """All that a verifier of seals needs beside the bytes and the time."""

    anchors: tuple[TrustAnchor, ...]
    binding_of: BindingLookup
