"""The story of a message: what is on record of it, as steps in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.store.records import DeadlineRow, InboxRow, OutboxRow, ReceiptRow, StoryEvent, Trouble
from node.store.states import HandoverState, MessageKind, OutboxState
from node.store.verdicts import GuardVerdict, VerdictKind
from schemas.codes import AgencyCode
from schemas.times import TimestampText

#: Words for the hand-overs that have ended, or are the software's to end.
_HANDED = {
    HandoverState.AWAITING: "Awaits the agency's software, which fetches it.",
    HandoverState.HANDED_OVER: "Handed over to the agency's software.",
    HandoverState.REFUSED: "Refused by the agency's software",
    HandoverState.PARKED: "Parked until it is driven again",
}


def own_steps(row: OutboxRow) -> Iterator[StoryEvent]:
    """What happened to a message of ours on its way to the hub."""
    sender = row.message.sender
    yield from _guard_steps(row.verdicts, sender)
    if row.override is not None:
        text = f"{row.override.by} answers for what guards would have refused: {row.override.reason}"
        yield StoryEvent(at=row.created_at, event="guard.overridden", code=sender, text=text)
    yield StoryEvent(at=row.created_at, event="message.submitted", code=sender, text=f"Submitted by {row.adapter}.")
    if row.state is OutboxState.REFUSED and row.tried_at is not None:
        yield StoryEvent(at=row.tried_at, event="message.refused", code=sender, text=_sentence("Refused", row.trouble))
    elif row.trouble is not None and row.tried_at is not None:
        text = _sentence(f"Tried {row.attempts} times; it waits", row.trouble)
        yield StoryEvent(at=row.tried_at, event="message.put-off", code=sender, text=text)


def arrival_steps(row: InboxRow) -> Iterator[StoryEvent]:
    """What happened to a received message here."""
    yield StoryEvent(at=row.accepted_at, event="message.accepted", code=row.message.sender, text="Accepted by the hub.")
    for handover in row.handovers:
        yield StoryEvent(at=row.received_at, event="message.arrived", code=handover.code, text="Arrived at this node.")
        yield from _guard_steps(handover.verdicts, handover.code)
        if handover.state in _HANDED:
            is_guarded = any(verdict.verdict is VerdictKind.REFUSED for verdict in handover.verdicts)
            text = _sentence("Refused by a guard" if is_guarded else _HANDED[handover.state], handover.trouble)
            yield StoryEvent(at=handover.since, event=f"message.{handover.state}", code=handover.code, text=text)
        elif handover.trouble is not None:
            text = _sentence(f"Tried {handover.attempts} times; it waits", handover.trouble)
            yield StoryEvent(at=handover.since, event="handover.put-off", code=handover.code, text=text)
        if handover.deadline is not None:
            yield from _deadline_steps(handover.deadline)


def _guard_steps(verdicts: Sequence[GuardVerdict], code: AgencyCode) -> Iterator[StoryEvent]:
    """What guards said: in one step those that had nothing to say, each other in its own."""
    silent = [verdict for verdict in verdicts if verdict.verdict is VerdictKind.PASSED and not verdict.reason]
    if silent:
        names = ", ".join(verdict.guard for verdict in silent)
        yield StoryEvent(at=silent[-1].at, event="guard.passed", code=code, text=f"Passed by {names}.")
    for verdict in verdicts:
        if verdict not in silent:
            why = f" (rule: {verdict.code})" if verdict.code else ""
            text = f"{verdict.guard}: {verdict.reason}{why}"
            yield StoryEvent(at=verdict.at, event=f"guard.{verdict.verdict}", code=code, text=text)


def _deadline_steps(deadline: DeadlineRow) -> Iterator[StoryEvent]:
    until = TimestampText.of(deadline.due_at).text
    if deadline.near_at is not None:
        text = f"Not finished, and due by {until} (Asia/Ho_Chi_Minh)."
        yield StoryEvent(at=deadline.near_at, event="document.due-soon", code=deadline.code, text=text)
    if deadline.past_at is not None:
        text = f"Not finished, and was due by {until} (Asia/Ho_Chi_Minh)."
        yield StoryEvent(at=deadline.past_at, event="document.overdue", code=deadline.code, text=text)


def receipt_step(receipt: ReceiptRow) -> StoryEvent:
    """What a receipt attests."""
    return StoryEvent(
        at=receipt.occurred_at,
        event=f"receipt.{receipt.event}",
        code=receipt.recipient,
        text=_sentence(f"{receipt.issuer.name} attests {receipt.event}", receipt.trouble),
    )


def word_step(row: OutboxRow | InboxRow) -> StoryEvent:
    """A message that speaks of the one whose story it is: a status, a recall, an update, a replacement."""
    facts = row.message
    at = row.created_at if isinstance(row, OutboxRow) else row.received_at
    if facts.kind is MessageKind.STATUS:
        text = f"Status {facts.status} of {facts.sender}: {facts.description or 'no words'}"
        return StoryEvent(at=at, event=f"status.{facts.status}", code=facts.sender, text=text)
    name = facts.business.name.lower() if facts.business is not None else "document"
    text = f"{facts.sender} speaks of it in {facts.document_id} ({name})."
    return StoryEvent(at=at, event=f"document.{name}", code=facts.sender, text=text)


def _sentence(what: str, trouble: Trouble | None) -> str:
    if trouble is None:
        return what if what.endswith(".") else what + "."
    return f"{what.removesuffix('.')}: {trouble.text} (rule: {trouble.code})"
