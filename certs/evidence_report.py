"""What judging an evidence container came to: one finding for each part, and the whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A part of the container: what it is, who says it and when, and why it does not hold (None: it holds)."""

    file: str
    what: str
    who: str | None = None
    at: datetime | None = None
    note: str | None = None
    fault: Rejected | None = None

    @property
    def holds(self) -> bool:
        return self.fault is None


@dataclass(slots=True)
class Findings:
    """Findings as they are made."""

    made: list[Finding] = field(default_factory=list)

    def refuse(self, file: str, what: str, fault: Rejected) -> None:
        self.made.append(Finding(file=file, what=what, fault=fault))

    def tried(self, file: str, what: str, check: Callable[[], T]) -> T | None:
        """What `check` gives; None, and a finding, if it refuses."""
        try:
            return check()
        except Rejected as error:
            self.refuse(file, what, error)
            return None

    def speak_against(self, file: str) -> bool:
        """Whether something is wrong with `file`."""
        return any(finding.file == file and not finding.holds for finding in self.made)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceReport:
    """All findings on one container.

    `authorities` are the SHA-256 of the certificates that all was judged under; `is_anchored` says that the verifier
    named them, and they were not taken from the container. `directory_complete`: every version of the directory is
    there, so that none can have been left out.
    """

    message_id: Sha256Hex
    gathered_by: str
    gathered_at: datetime
    dropped_at: datetime | None
    has_envelope: bool
    authorities: tuple[Sha256Hex, ...]
    is_anchored: bool
    directory_complete: bool
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against any part."""
        return all(finding.holds for finding in self.findings)
