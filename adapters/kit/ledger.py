"""What one check notes while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.kit.report import CheckResult, Finding

#: The first findings tell an author what to mend; the hundredth of a kind tells nothing more.
_KEPT = 10


@dataclass(slots=True)
class Ledger:
    cases: int = 0
    findings: list[Finding] = field(default_factory=list)
    unseen: dict[str, None] = field(default_factory=dict)

    def tried(self) -> None:
        """One case more."""
        self.cases += 1

    def broke(self, *, done: str, expected: str, happened: str, mend: str) -> None:
        """A promise that did not hold."""
        if len(self.findings) < _KEPT:
            self.findings.append(Finding(done=done, expected=expected, happened=happened, mend=mend))

    def could_not_see(self, why: str) -> None:
        self.unseen[why] = None

    def result(self, name: str, promise: str) -> CheckResult:
        return CheckResult(
            name=name, promise=promise, cases=self.cases, findings=tuple(self.findings), unseen=tuple(self.unseen)
        )
