"""Reports: what the hub is still to be told, the most urgent lane first. A row goes when the hub has answered it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.receipt_tables import report_receipts, reports
from runtime.columns import Upsert
from runtime.prepared import Prepared
from schemas.receipts import SignedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The `outcome` of the mailbox entry `entry`, with its receipts; or, without an entry, a receipt by itself."""

    number: int
    entry: int | None
    lease: str | None
    outcome: str | None
    receipts: tuple[SignedReceipt, ...]


# What each report needs is built once: to build a statement costs four times what it costs to run it.
_ADD_OUTCOME = Prepared(
    Upsert(
        reports,
        lambda adding: adding.on_conflict_do_nothing(index_elements=[reports.c.entry]).returning(reports.c.report),
    )
)
_ADD = Prepared(insert(reports).returning(reports.c.report))
_LINK = Prepared(insert(report_receipts))
_FIRST = Prepared(select(reports).order_by(reports.c.lane, reports.c.report).limit(bindparam("most")))
_LINKS = (
    select(report_receipts.c.report, report_receipts.c.receipt)
    .where(report_receipts.c.report.in_(bindparam("numbers", expanding=True)))
    .order_by(report_receipts.c.report, report_receipts.c.receipt)
)
_LEASES = select(reports.c.report, reports.c.lease).where(reports.c.report.in_(bindparam("numbers", expanding=True)))
_UNLINK = delete(report_receipts).where(report_receipts.c.report.in_(bindparam("numbers", expanding=True)))
_DROP = delete(reports).where(reports.c.report.in_(bindparam("numbers", expanding=True)))


def add_outcome(
    transaction: Transaction,
    entry: int,
    lease: str,
    outcome: str,
    *,
    lane: int,
    receipts: Sequence[int],
) -> None:
    """Queue what became of an entry. A later word on the same entry replaces an earlier one that was not sent yet."""
    number: int | None = _ADD_OUTCOME.scalar(
        transaction,
        {"entry": entry, "lease": lease, "outcome": outcome, "lane": lane},
    )
    if number is None:
        number = transaction.execute(
            update(reports)
            .where(reports.c.entry == entry)
            .values(lease=lease, outcome=outcome, lane=lane)
            .returning(reports.c.report)
        ).scalar_one()
        transaction.execute(delete(report_receipts).where(report_receipts.c.report == number))
    for receipt in dict.fromkeys(receipts):
        _LINK.run(transaction, {"report": number, "receipt": receipt})


def add_receipts(transaction: Transaction, receipts: Sequence[int], *, lane: int) -> None:
    """Queue receipts, each by itself."""
    for receipt in receipts:
        number = _ADD.scalar(transaction, {"lane": lane})
        _LINK.run(transaction, {"report": number, "receipt": receipt})


def next_batch(transaction: Transaction, *, receipts: int) -> tuple[Report, ...]:
    """The most urgent reports, with at most `receipts` receipts in all (one report may have more by itself)."""
    rows = _FIRST.all(transaction, {"most": receipts})
    if not rows:
        return ()
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    for link in transaction.execute(_LINKS, {"numbers": [row.report for row in rows]}):
        numbers[link.report].append(link.receipt)
    taken: list[Row[tuple[Any, ...]]] = []
    total = 0
    for row in rows:
        total += len(numbers[row.report])
        if taken and total > receipts:
            break
        taken.append(row)
    signed = receipt_store.signed_by_number(transaction, [receipt for row in taken for receipt in numbers[row.report]])
    return tuple(
        Report(
            number=row.report,
            entry=row.entry,
            lease=row.lease,
            outcome=row.outcome,
            receipts=tuple(signed[receipt] for receipt in numbers[row.report]),
        )
        for row in taken
    )


def forget_entries(transaction: Transaction) -> None:
    """Drop what is queued about entries, which the hub has numbered anew: what it lacks it offers again."""
    about_entries = select(reports.c.report).where(reports.c.entry.is_not(None))
    transaction.execute(delete(report_receipts).where(report_receipts.c.report.in_(about_entries)))
    transaction.execute(delete(reports).where(reports.c.entry.is_not(None)))


def settle(transaction: Transaction, sent: Sequence[Report]) -> None:
    """Drop reports that the hub has answered, but for those that say something else by now."""
    leases = {report.number: report.lease for report in sent}
    rows = transaction.execute(_LEASES, {"numbers": list(leases)})
    answered = [row.report for row in rows if row.lease == leases[row.report]]
    if answered:
        transaction.execute(_UNLINK, {"numbers": answered})
        transaction.execute(_DROP, {"numbers": answered})


def count(transaction: Transaction) -> int:
    return transaction.execute(select(func.count()).select_from(reports)).scalar_one()
