"""Outcomes: what a node reports of the entries that it leased, and the receipts that it sends later."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from random import Random
from typing import TypeAlias

import structlog

from hub.settings_exchange import ExchangeSettings
from hub.store import marks
from hub.store.metadata import Transaction
from hub.usecases.meters import Meters
from hub.usecases.outcome_ledger import CheckedOutcome, Ledger, ReleaseTerms, Written, refused
from hub.usecases.receipt_checks import CheckedReceipt, ReceiptChecks
from hub.usecases.waking import wake_mailboxes
from runtime.clock import Clock
from runtime.database import Database
from runtime.wakeups import Wakeups
from schemas.errors import LimitExceeded, Rejected, Unavailable
from transport.wire import Outcome, OutcomeKind, OutcomeResult, OutcomesAnswer, OutcomesRequest

log = structlog.get_logger()

_Outcomes: TypeAlias = Sequence[CheckedOutcome | Rejected]
_Receipts: TypeAlias = Sequence[CheckedReceipt | Rejected]


class Outcomes:
    """Takes the reports of nodes."""

    def __init__(
        self,
        database: Database,
        checks: ReceiptChecks,
        wakeups: Wakeups,
        meters: Meters,
        *,
        epoch: str,
        clock: Clock,
        chance: Random,
        settings: ExchangeSettings,
    ) -> None:
        self._database = database
        self._epoch = epoch
        self._checks = checks
        self._wakeups = wakeups
        self._meters = meters
        self._clock = clock
        self._most = settings.deliveries.outcomes
        self._releases = ReleaseTerms(settings.mailbox.release, chance)

    async def report(self, connection: str, request: OutcomesRequest) -> OutcomesAnswer:
        """Enter all of a report in one transaction; each item has a result of its own.

        Raises:
            LimitExceeded: `too-large`: the report has too many outcomes or receipts; nothing is entered.
            Unavailable: `epoch-changed`: it speaks of entries as they were numbered before the hub was restored.
        """
        if request.epoch not in (None, self._epoch):
            raise Unavailable(
                "epoch-changed",
                "The hub was restored from a backup; the entries of before are offered anew.",
                mend="Ask the mailbox: it tells the new epoch.",
            )
        refs = [ref for outcome in request.outcomes for ref in outcome.receipts]
        refs.extend(request.receipts)
        if max(len(request.outcomes), len(refs)) > self._most:
            raise LimitExceeded(
                "too-large",
                f"A report has {self._most} outcomes and {self._most} receipts at most.",
                mend="Report in several requests.",
            )
        # Signatures first, and who may sign for whom: no transaction waits for that.
        checked = iter(await self._checks.check(refs, request.proofs))
        outcomes = [_checked(outcome, list(islice(checked, len(outcome.receipts)))) for outcome in request.outcomes]
        further = list(checked)
        answer, written = await self._database.write(
            lambda transaction: self._enter(transaction, connection, outcomes, further, request.mark)
        )
        wake_mailboxes(self._wakeups, written.senders)
        self._count(written)
        _log(request, answer)
        return answer

    def _enter(
        self, transaction: Transaction, connection: str, outcomes: _Outcomes, further: _Receipts, mark: int | None
    ) -> tuple[OutcomesAnswer, Written]:
        if mark is not None:
            marks.raise_reported(transaction, connection, mark)
        ledger = Ledger.open(
            transaction,
            connection,
            [outcome for outcome in outcomes if isinstance(outcome, CheckedOutcome)],
            [receipt for receipt in further if isinstance(receipt, CheckedReceipt)],
            at=self._clock(),
            releases=self._releases,
            mark=mark,
        )
        answer = OutcomesAnswer(
            outcomes=tuple(
                ledger.enter(outcome) if isinstance(outcome, CheckedOutcome) else refused(outcome)
                for outcome in outcomes
            ),
            receipts=tuple(
                ledger.enter_handover(receipt) if isinstance(receipt, CheckedReceipt) else refused(receipt)
                for receipt in further
            ),
        )
        return answer, ledger.write()

    def _count(self, written: Written) -> None:
        for state in written.states:
            self._meters.deliveries.labels(state).inc()
        for event in written.events:
            self._meters.receipts.labels(event).inc()


def _checked(outcome: Outcome, receipts: _Receipts) -> CheckedOutcome | Rejected:
    """An outcome with its receipts; the first fault, if one of them does not hold."""
    held: list[CheckedReceipt] = []
    for receipt in receipts:
        if isinstance(receipt, Rejected):
            return receipt
        held.append(receipt)
    return CheckedOutcome(outcome, tuple(held))


def _log(request: OutcomesRequest, answer: OutcomesAnswer) -> None:
    """One line for all of which the same is to be said: a line costs as much as entering what it says."""
    entered: dict[tuple[OutcomeKind, OutcomeResult, str | None, str | None], list[int]] = {}
    for outcome, result in zip(request.outcomes, answer.outcomes, strict=True):
        told = (outcome.outcome, result.result, result.code, outcome.reason)
        entered.setdefault(told, []).append(outcome.entry)
    for (kind, became, rule, reason), entries in entered.items():
        # That a node has its receipts is what happens five times for every document: not what anyone looks for.
        is_routine = kind is OutcomeKind.RECEIVED and became is OutcomeResult.RECORDED
        say = log.debug if is_routine else log.info
        if len(entries) == 1:
            say("outcome.entered", entry=entries[0], outcome=kind, result=became, rule=rule, reason=reason)
        else:
            say(
                "outcomes.entered",
                entries=entries,
                count=len(entries),
                outcome=kind,
                result=became,
                rule=rule,
                reason=reason,
            )
