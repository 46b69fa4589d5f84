"""The audit of a node: how far everything has come by envelopes and verified receipts, and what is missing named.

State columns are never believed, only compared with what is proven. All is read in one snapshot, beside a running node
or without it; memory stays the same however much is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from cryptography import x509

from certs.examination import Examination
from certs.historic_trust import HistoricTrust
from node.store import audits
from node.store.audits import RecordedMessage
from node.store.figures import COLUMN_OF
from node.store.metadata import Transaction
from node.store.records import BalanceRow
from node.usecases.audit_message import AuditedMessage, audited
from runtime.blobs import BlobStore
from runtime.database import Database
from runtime.kept_attachments import AttachmentAudit
from schemas.auditing import AuditFinding, Examined, FindingCode
from schemas.codes import AgencyCode
from schemas.envelope import AttachmentSize, Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAudit:
    """What was examined, the balance of what was sent by what is proven, and everything that does not hold.

    `reports` is how many reports the hub is still to be told.
    """

    examined: Examined
    balance: tuple[BalanceRow, ...]
    reports: int
    findings: tuple[AuditFinding, ...]
    findings_count: int

    @property
    def is_clean(self) -> bool:
        return not self.findings_count


async def audit_node(
    database: Database,
    files: BlobStore | None,
    authority: Sequence[x509.Certificate],
    served: Sequence[AgencyCode],
    *,
    deep: bool = False,
    began: Callable[[int], None] = lambda _total: None,
    advanced: Callable[[int], None] = lambda _messages: None,
) -> NodeAudit:
    """Audit the node of the agencies `served`, whose hub signs under `authority`.

    `deep` reads every attachment and compares its SHA-256; else its presence and length are enough. Without `files`
    attachments that are files are counted and not looked at. `began` is told how many messages there are, `advanced` of
    each batch that is done.
    """
    run = _Run(
        AttachmentAudit(files, deep), Examination(HistoricTrust(authority)), frozenset(code.value for code in served)
    )
    await database.read(partial(run.examine, began=began, advanced=advanced))
    # A payload may have been dropped since the snapshot: a file that is gone now was then right to be there.
    for message_id, finding in run.lost_files:
        if await database.read(partial(audits.still_kept, message_id=message_id)):
            run.examination.find(finding)
    return NodeAudit(
        examined=run.examination.examined,
        balance=run.balance(),
        reports=run.reports,
        findings=tuple(run.examination.findings.kept),
        findings_count=run.examination.findings.count,
    )


@dataclass(slots=True)
class _Run:
    """One audit under way, in a thread with a snapshot."""

    attachments: AttachmentAudit
    examination: Examination
    served: frozenset[str]
    counts: dict[AgencyCode, Counter[str]] = field(default_factory=dict)
    lost_files: list[tuple[Sha256Hex, AuditFinding]] = field(default_factory=list)
    reports: int = 0

    def examine(
        self, transaction: Transaction, *, began: Callable[[int], None], advanced: Callable[[int], None]
    ) -> None:
        began(audits.count(transaction))
        self.examination.read_directory(audits.versions(transaction))
        for batch in audits.batches(transaction, contents=self.attachments.deep):
            self._examine_batch(batch)
            advanced(len(batch))
        self._find_orphans(transaction)
        self.reports = audits.reports_waiting(transaction)

    def balance(self) -> tuple[BalanceRow, ...]:
        total = sum(self.counts.values(), Counter[str]())
        return (*(_row(code, self.counts[code]) for code in sorted(self.counts)), _row(None, total))

    def _examine_batch(self, batch: Sequence[RecordedMessage]) -> None:
        proven = self.examination.proven(
            # Receipts name the code in From, the record the agency's code of that day.
            replace(row, senders=self.examination.trust.codes_of(kept.sender))
            for kept in batch
            for row in kept.receipts
        )
        for kept in batch:
            message = audited(kept, proven, self.examination.trust, self.served)
            self.examination.examined.messages += 1
            self.examination.examined.purged += kept.purged_at is not None
            if kept.purged_at is None:
                for attachment in message.attachments:
                    self._examine_attachment(message, attachment)
            self.examination.findings.extend(message.findings)
            if message.accepted and kept.outbox is not None:
                counts = self.counts.setdefault(kept.sender, Counter())
                counts.update(COLUMN_OF[state] for state in message.ends.values())

    def _examine_attachment(self, message: AuditedMessage, attachment: AttachmentSize) -> None:
        self.examination.examined.attachments += 1
        row = message.kept.attachments.get(attachment.digest)
        if row is None:
            message.find(
                FindingCode.ATTACHMENT_MISSING,
                f"No row names the attachment {attachment.digest}.",
                element=attachment.digest,
            )
        elif not self.attachments.reaches(row.kept):
            self.examination.examined.unreached += not row.purged
        elif not row.purged and (fault := self.attachments.fault(attachment, row.kept)):
            finding = AuditFinding(
                code=fault.code,
                sentence=fault.sentence,
                message_id=message.kept.message_id,
                element=attachment.digest,
            )
            if fault.of_file:
                self.lost_files.append((message.kept.message_id, finding))
            else:
                message.findings.append(finding)

    def _find_orphans(self, transaction: Transaction) -> None:
        """Rows that lead nowhere, and numbers that were given and that nothing has any more."""
        tables: dict[Sha256Hex, list[str]] = {}
        for table, message_id in audits.dangling(transaction):
            tables.setdefault(message_id, []).append(table)
        for message_id, names in tables.items():
            sentence = f"The row of the message is gone; rows of {', '.join(names)} belong to it."
            self.examination.find(
                AuditFinding(
                    code=FindingCode.MESSAGE_MISSING, sentence=sentence, message_id=message_id, element="messages"
                )
            )
        for number in audits.broken_reports(transaction):
            sentence = f"The receipt number {number}, which the hub is still to be told, is gone."
            self.examination.find(AuditFinding(code=FindingCode.REPORT_BROKEN, sentence=sentence, element="receipts"))
        for table, number in audits.gaps(transaction):
            if table != "messages" or not tables:
                sentence = f"A row of {table} was deleted: number {number} was given, and nothing has it."
                self.examination.find(AuditFinding(code=FindingCode.NUMBER_GAP, sentence=sentence, element=table))


def _row(code: AgencyCode | None, counts: Counter[str]) -> BalanceRow:
    return BalanceRow(
        code=code,
        accepted=counts.total(),
        delivered=counts["delivered"],
        refused=counts["refused"],
        expired=counts["expired"],
        cancelled=counts["cancelled"],
        pending=counts["pending"],
    )
