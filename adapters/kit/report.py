"""What a check found, in words that an adapter's author can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters.sdk import Guarantee


class Verdict(StrEnum):
    HELD = "held"
    BROKE = "broke"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One promise broken: what the kit did, what should have come of it, what came of it, and what mends it."""

    done: str
    expected: str
    happened: str
    mend: str

    def __str__(self) -> str:
        return f"Done: {self.done} Expected: {self.expected} Happened: {self.happened} Mend: {self.mend}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check: `cases` is how many times it tried, `unseen` what it could not look at, and why."""

    name: str
    promise: str
    cases: int
    findings: tuple[Finding, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        if self.findings:
            return Verdict.BROKE
        return Verdict.HELD if self.cases else Verdict.NOT_CHECKED


@dataclass(frozen=True, slots=True, kw_only=True)
class KitReport:
    """All checks of one adapter. `guarantee` is what it declares; None if it declares nothing that the kit knows."""

    adapter: str
    guarantee: Guarantee | None
    results: Sequence[CheckResult]

    @property
    def holds(self) -> bool:
        return all(result.verdict is not Verdict.BROKE for result in self.results)

    @property
    def findings(self) -> list[tuple[CheckResult, Finding]]:
        return [(result, finding) for result in self.results for finding in result.findings]

    @property
    def cases(self) -> int:
        return sum(result.cases for result in self.results)

    def words(self) -> str:
        """Every finding, a paragraph each; empty if the adapter holds."""
        return "\n\n".join(
            "\n".join(
                (
                    f"{result.name}: {result.promise}",
                    f"  done:     {finding.done}",
                    f"  expected: {finding.expected}",
                    f"  happened: {finding.happened}",
                    f"  mend:     {finding.mend}",
                )
            )
            for result, finding in self.findings
        )
