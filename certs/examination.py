"""What the audits of a hub and of a node have in common: the directory's history and the receipts, verified anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from certs.historic_trust import HistoricTrust
from certs.kept_receipts import KeptReceipt, verified_receipts
from schemas.auditing import AuditFinding, Examined, FindingCode, Findings
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.receipts import Receipt


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """A version of the directory: what its columns say, and the bytes that were signed."""

    number: int
    digest: Sha256Hex
    issued_at: datetime
    document: bytes = field(repr=False)


@dataclass(slots=True)
class Examination:
    """An audit under way: by what it judges, what it has looked at, and what does not hold."""

    trust: HistoricTrust
    examined: Examined = field(default_factory=Examined)
    findings: Findings = field(default_factory=Findings)

    def find(self, finding: AuditFinding) -> None:
        self.findings.add(finding)

    def read_directory(self, versions: Iterable[KeptVersion]) -> None:
        """Take the directory's versions, in order; one that does not verify is found and believed in nothing."""
        for version in versions:
            self.examined.directory_versions += 1
            try:
                self.trust.append(version.document, version.issued_at)
            except Rejected as error:
                self.trust.skip(version.number, version.digest)
                sentence = f"The version {version.number} of the directory does not hold: {error.message}"
                self.find(AuditFinding(code=FindingCode.DIRECTORY_INVALID, sentence=sentence))

    def proven(self, receipts: Iterable[KeptReceipt]) -> dict[int, Receipt]:
        """The receipts that verify and belong where they stand, by number; the others are found."""
        proven: dict[int, Receipt] = {}
        for row, receipt in verified_receipts(receipts, self.trust):
            self.examined.receipts += 1
            if isinstance(receipt, Receipt):
                proven[row.receipt] = receipt
            else:
                self.find(
                    AuditFinding(
                        code=receipt.code,
                        sentence=receipt.sentence,
                        message_id=row.message_id,
                        agency=row.recipient,
                        element=row.event,
                    )
                )
        return proven
