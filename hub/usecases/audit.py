"""The audit of a hub: the balance computed anew from stored envelopes and verified receipts, and what is missing named.

State columns and counters are never believed, only compared with what is proven. All is read in one snapshot, beside a
running hub or without it; memory stays the same however much is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from cryptography import x509

from certs.examination import Examination
from certs.historic_trust import HistoricTrust
from hub.store import audits
from hub.store.audits import Gap, KeptMessage
from hub.store.deliveries import DeliveryState
from hub.store.metadata import Transaction
from hub.usecases.audit_message import AuditedMessage, audited, missing_message
from hub.usecases.balance import Balance, tally
from runtime.blobs import BlobStore
from runtime.database import Database
from runtime.kept_attachments import AttachmentAudit
from schemas.auditing import AuditFinding, Examined, FindingCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.receipt_codec import read_receipt

#: Numbers of a gap that are named in one finding each; a longer gap is one finding.
_NAMED_SINGLY: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAudit:
    """What was examined, the balance by what is proven and by what the rows say, and everything that does not hold."""

    examined: Examined
    balance: Balance
    columns: Balance
    findings: tuple[AuditFinding, ...]
    findings_count: int

    @property
    def is_clean(self) -> bool:
        return not self.findings_count and self.balance.balances and self.balance == self.columns


async def audit_hub(
    database: Database,
    files: BlobStore | None,
    authority: Sequence[x509.Certificate],
    *,
    deep: bool = False,
    began: Callable[[int], None] = lambda _total: None,
    advanced: Callable[[int], None] = lambda _messages: None,
) -> HubAudit:
    """Audit the hub whose receipts and directory are signed under `authority`.

    `deep` reads every attachment and compares its SHA-256; else its presence and length are enough. Without `files`
    attachments that are files are counted and not looked at. `began` is told how many messages there are, `advanced` of
    each batch that is done.
    """
    run = _Run(files, authority, deep=deep)
    await database.read(partial(run.examine, began=began, advanced=advanced))
    # A payload may have been dropped since the snapshot: a file that is gone now was then right to be there.
    for number, finding in run.lost_files:
        if await database.read(partial(audits.still_kept, message=number)):
            run.findings.add(finding)
    return HubAudit(
        examined=run.examined,
        balance=run.proven.balance(),
        columns=run.columns.balance(),
        findings=tuple(run.findings.kept),
        findings_count=run.findings.count,
    )


@dataclass(slots=True)
class _Count:
    """Deliveries by who sent and by who receives, in each state; `accepted` is what was acknowledged to each sender."""

    accepted: Counter[str] = field(default_factory=Counter)
    sent: dict[str, Counter[DeliveryState]] = field(default_factory=dict)
    received: dict[str, Counter[DeliveryState]] = field(default_factory=dict)

    def add(self, sender: str, recipient: str, state: DeliveryState) -> None:
        self.sent.setdefault(sender, Counter())[state] += 1
        self.received.setdefault(recipient, Counter())[state] += 1

    def balance(self) -> Balance:
        total = sum(self.sent.values(), Counter[DeliveryState]())
        return Balance(
            overall=tally(self.accepted.total(), total),
            sent={
                code: tally(self.accepted[code], self.sent.get(code, Counter()))
                for code in sorted({*self.accepted, *self.sent})
            },
            received={code: tally(states.total(), states) for code, states in sorted(self.received.items())},
        )


class _Run:
    """One audit under way, in a thread with a snapshot."""

    def __init__(self, files: BlobStore | None, authority: Sequence[x509.Certificate], *, deep: bool) -> None:
        self._examination = Examination(HistoricTrust(authority))
        self.examined, self.findings = self._examination.examined, self._examination.findings
        self.proven = _Count()
        self.columns = _Count()
        self.lost_files: list[tuple[int, AuditFinding]] = []
        self._attachments = AttachmentAudit(files, deep)
        self._deep = deep

    def examine(
        self, transaction: Transaction, *, began: Callable[[int], None], advanced: Callable[[int], None]
    ) -> None:
        began(audits.count(transaction))
        self._examination.read_directory(audits.versions(transaction))
        for batch in audits.batches(transaction, contents=self._deep):
            self._examine_batch(batch)
            advanced(len(batch))
        self._find_orphans(transaction)

    def _examine_batch(self, batch: Sequence[KeptMessage]) -> None:
        proven = self._examination.proven(row for kept in batch for row in kept.receipts)
        for kept in batch:
            message = audited(kept, proven, self._examination.trust)
            self.examined.messages += 1
            self.examined.purged += kept.purged_at is not None
            self._examine_attachments(message)
            self.findings.extend(message.findings)
            self.proven.accepted[kept.sender] += message.accepted
            self.columns.accepted[kept.sender] += message.accepted
            for code, state in message.ends.items():
                self.proven.add(kept.sender, code, state)
                row = kept.deliveries.get(code)
                if row is not None or code in kept.unwritten:
                    self.columns.add(kept.sender, code, row.state if row else DeliveryState.QUEUED)

    def _examine_attachments(self, message: AuditedMessage) -> None:
        kept = message.kept
        for attachment in () if kept.purged_at is not None else message.attachments:
            self.examined.attachments += 1
            row = kept.attachments.get(attachment.digest)
            if row is None or row.size is None:
                where = "no row says that it is held" if row is None else "its row is gone"
                message.find(
                    FindingCode.ATTACHMENT_MISSING,
                    f"The attachment {attachment.digest} is missing: {where}.",
                    element=attachment.digest,
                )
            elif not self._attachments.reaches(row.kept):
                self.examined.unreached += 1
            elif fault := self._attachments.fault(attachment, row.kept):
                finding = AuditFinding(
                    code=fault.code,
                    sentence=fault.sentence,
                    message_id=kept.message_id,
                    element=attachment.digest,
                )
                if fault.of_file:
                    self.lost_files.append((kept.message, finding))
                else:
                    message.findings.append(finding)

    def _find_orphans(self, transaction: Transaction) -> None:
        """Rows that lead nowhere, and numbers that were given and that nothing has any more."""
        tables: dict[int, set[str]] = {}
        ids: dict[int, Sha256Hex] = {}
        for row in audits.dangling(transaction):
            tables.setdefault(row.message, set()).add(row.table)
            if row.receipt is not None and (message_id := _claimed_message(row.receipt)):
                ids[row.message] = message_id
        self.findings.extend(missing_message(number, tables[number], ids.get(number)) for number in sorted(tables))
        lost = {row.receipt: row for row in audits.lost_receipts(transaction)}
        for number, receipt in sorted(lost.items()):
            sentence = f"The receipt number {number} is gone; a mailbox entry was to bring it to {receipt.connection}."
            self.findings.add(
                AuditFinding(
                    code=FindingCode.RECEIPT_MISSING,
                    sentence=sentence,
                    message_id=receipt.message_id,
                    element="receipts",
                )
            )
        for gap in audits.gaps(transaction):
            known = tables if gap.table == "messages" else lost if gap.table == "receipts" else {}
            self.findings.extend(_gap_findings(gap, known))
        for upload in audits.broken_uploads(transaction):
            sentence = f"The upload {upload} belongs to a submission that is gone."
            self.findings.add(AuditFinding(code=FindingCode.UPLOAD_BROKEN, sentence=sentence, element="uploads"))


def _claimed_message(receipt: bytes) -> Sha256Hex | None:
    """Which message a receipt speaks of; it is not verified, only a name is asked of it."""
    try:
        return read_receipt(receipt).message_id
    except Rejected:
        return None


def _gap_findings(gap: Gap, known: Iterable[int]) -> list[AuditFinding]:
    """The numbers of a gap that were not found missing already: one by one, or all together where they are many."""
    named = set(known)
    if gap.last - gap.first < _NAMED_SINGLY:
        spans = [f"number {number}" for number in range(gap.first, gap.last + 1) if number not in named]
    else:
        spans = [f"numbers {gap.first} to {gap.last}"]
    return [
        AuditFinding(
            code=FindingCode.NUMBER_GAP,
            sentence=f"A row of {gap.table} was deleted: {span} was given, and nothing has it.",
            element=gap.table,
        )
        for span in spans
    ]
