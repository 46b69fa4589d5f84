"""Reporting: telling the hub what became of what it handed out, receipts included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

import structlog

from node.settings_exchange import ReportSettings
from node.store import reports, standing
from node.store.metadata import Transaction
from node.store.reports import Report
from node.store.standing import HubStanding
from node.usecases.hub_watch import is_the_hubs
from runtime.database import Database
from schemas.errors import Rejected, Unavailable
from schemas.receipts import SignedReceipt
from transport.client import HubClient
from transport.wire import Outcome, OutcomeKind, OutcomeResult, OutcomesAnswer, OutcomesRequest, ReceiptRef

log = structlog.get_logger()


class Reporting:
    """Sends queued reports. A report is dropped once the hub has answered it, whatever it said: it knows now."""

    def __init__(self, database: Database, hub: HubClient, settings: ReportSettings) -> None:
        self._database = database
        self._hub = hub
        self._batch = settings.batch
        self._most = settings.batch

    async def report(self) -> bool:
        """Send the oldest reports; False if there was none. Raises Unavailable if the hub cannot take them now."""
        batch, known = await self._database.read(self._next)
        if not batch:
            return False
        try:
            for request in _requests(batch, self._batch):
                bearing = request.model_copy(update={"mark": known.mark, "epoch": known.epoch})
                _log_results(request, await self._hub.report(bearing))
        except Rejected as error:
            if is_the_hubs(error):
                raise Unavailable(error.code, error.message, mend=error.mend) from error
            if len(batch) > 1:
                # One of them the hub will not take: one by one, until it is found.
                self._most = 1
                return True
            log.error(
                "report.refused",
                entry=batch[0].entry,
                outcome=batch[0].outcome,
                rule=error.code,
                reason=error.message,
            )
        else:
            self._most = self._batch
        # Told once more after a power cut, the hub says that it knew.
        await self._database.write(partial(reports.settle, sent=batch), durable=False)
        return True

    def _next(self, transaction: Transaction) -> tuple[tuple[Report, ...], HubStanding]:
        # In one snapshot: this mark stands for all that these reports speak of.
        return reports.next_batch(transaction, receipts=self._most), standing.of_hub(transaction)


def request_of(
    outcomes: Sequence[tuple[Outcome, Sequence[SignedReceipt]]], further: Sequence[SignedReceipt] = ()
) -> OutcomesRequest:
    """Outcomes, each with its receipts, and receipts by themselves; every proof stands once."""
    names: dict[bytes, str] = {}

    def named(proof: bytes) -> str:
        return names.get(proof) or names.setdefault(proof, hashlib.sha256(proof).hexdigest())

    def refs(signed: Sequence[SignedReceipt]) -> tuple[ReceiptRef, ...]:
        return tuple(ReceiptRef(receipt=each.receipt, proof=named(each.proof)) for each in signed)

    told = tuple(outcome.model_copy(update={"receipts": refs(signed)}) for outcome, signed in outcomes)
    alone = refs(further)
    return OutcomesRequest(outcomes=told, receipts=alone, proofs={name: proof for proof, name in names.items()})


def _requests(batch: Sequence[Report], most: int) -> Iterator[OutcomesRequest]:
    """The reports in requests of at most `most` receipts; an entry for more agencies than that is told of in parts."""
    outcomes: list[tuple[Outcome, Sequence[SignedReceipt]]] = []
    further: list[SignedReceipt] = []
    room = most
    for report in batch:
        for part in _parts(report.receipts, most):
            if max(len(part), 1) > room:
                yield request_of(outcomes, further)
                outcomes, further, room = [], [], most
            room -= max(len(part), 1)
            if report.entry is None or report.outcome is None:
                further.extend(part)
            else:
                outcomes.append((_outcome(report), part))
    yield request_of(outcomes, further)


def _parts(receipts: Sequence[SignedReceipt], most: int) -> Iterator[Sequence[SignedReceipt]]:
    for start in range(0, max(len(receipts), 1), most):
        yield receipts[start : start + most]


def _outcome(report: Report) -> Outcome:
    assert report.entry is not None  # noqa: S101 - a report of an outcome is about an entry
    assert report.outcome is not None  # noqa: S101 - as above
    return Outcome(entry=report.entry, lease=report.lease, outcome=OutcomeKind(report.outcome))


def _log_results(request: OutcomesRequest, answer: OutcomesAnswer) -> None:
    """Say what the hub did not record; it is then offered again, or was of no use any more."""
    for outcome, result in zip(request.outcomes, answer.outcomes, strict=False):
        if result.result not in (OutcomeResult.RECORDED, OutcomeResult.REPEATED):
            log.warning(
                "report.not-recorded",
                entry=outcome.entry,
                outcome=outcome.outcome,
                result=result.result,
                rule=result.code,
                reason=result.detail,
            )
    for result in answer.receipts:
        if result.result not in (OutcomeResult.RECORDED, OutcomeResult.REPEATED):
            log.warning("receipt.not-recorded", result=result.result, rule=result.code, reason=result.detail)
