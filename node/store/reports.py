"""Reports: what the hub is still to be told, the most urgent lane first. A row goes when the hub has answered it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, insert, select, tuple_, update

from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.receipt_tables import receipts as kept_receipts
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
_NUMBER_OF_RECEIPTS = (
    select(func.count()).where(report_receipts.c.report == reports.c.report).correlate(reports).scalar_subquery()
)
_FIRST = Prepared(
    select(reports, _NUMBER_OF_RECEIPTS.label("total"))
    .order_by(reports.c.lane, reports.c.report)
    .limit(bindparam("most"))
)
#: The receipts of the reports up to one.
_RECEIPTS = Prepared(
    select(report_receipts.c.report, kept_receipts.c.body, kept_receipts.c.proof)
    .join(reports, reports.c.report == report_receipts.c.report)
    .join(kept_receipts, kept_receipts.c.receipt == report_receipts.c.receipt)
    .where(tuple_(reports.c.lane, reports.c.report) <= tuple_(bindparam("last_lane"), bindparam("last_report")))
    .order_by(report_receipts.c.report, report_receipts.c.receipt)
)
_IS_AS_SENT = reports.c.lease.is_not_distinct_from(bindparam("sent_lease"))
_UNLINK = Prepared(
    delete(report_receipts).where(
        report_receipts.c.report == bindparam("of_report"),
        exists().where(reports.c.report == bindparam("of_report"), _IS_AS_SENT),
    )
)
_DROP = Prepared(delete(reports).where(reports.c.report == bindparam("of_report"), _IS_AS_SENT))


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
    taken: list[Any] = []
    total = 0
    for row in _FIRST.all(transaction, {"most": receipts}):
        total += row.total
        if taken and total > receipts:
            break
        taken.append(row)
    if not taken:
        return ()
    signed = _signed(transaction, last_lane=taken[-1].lane, last_report=taken[-1].report)
    return tuple(
        Report(
            number=row.report,
            entry=row.entry,
            lease=row.lease,
            outcome=row.outcome,
            receipts=tuple(signed.get(row.report, ())),
        )
        for row in taken
    )


def _signed(transaction: Transaction, *, last_lane: int, last_report: int) -> Mapping[int, list[SignedReceipt]]:
    """The receipts of every report up to the one named, in order. What one proof signs shares its bytes."""
    rows = _RECEIPTS.all(transaction, {"last_lane": last_lane, "last_report": last_report})
    proofs = receipt_store.proofs_of(transaction, {row.proof for row in rows})
    signed: defaultdict[int, list[SignedReceipt]] = defaultdict(list)
    for row in rows:
        signed[row.report].append(SignedReceipt(row.body, proofs[row.proof]))
    return signed


def forget_entries(transaction: Transaction) -> None:
    """Drop what is queued about entries, which the hub has numbered anew: what it lacks it offers again."""
    about_entries = select(reports.c.report).where(reports.c.entry.is_not(None))
    transaction.execute(delete(report_receipts).where(report_receipts.c.report.in_(about_entries)))
    transaction.execute(delete(reports).where(reports.c.entry.is_not(None)))


def settle(transaction: Transaction, sent: Sequence[Report]) -> None:
    """Drop reports that the hub has answered, but for those that say something else by now."""
    answered = [{"of_report": report.number, "sent_lease": report.lease} for report in sent]
    _UNLINK.run_each(transaction, answered)
    _DROP.run_each(transaction, answered)


def count(transaction: Transaction) -> int:
    return transaction.execute(select(func.count()).select_from(reports)).scalar_one()
