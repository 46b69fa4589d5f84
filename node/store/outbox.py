"""The outbox: messages of ours on their way to the hub.

A message is held while one that the hub must have first still waits: a document that it speaks of, or an earlier
message of the same agency about the same document.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update

from adapters.sdk import EventName, Override
from node.store import business, events, recovered, selection
from node.store import messages as message_store
from node.store.message_tables import about, outbox, outbox_predecessors, outbox_recipients
from node.store.messages import RecordedMessage
from node.store.metadata import Transaction
from node.store.records import Trouble
from node.store.sending_queue import WAITING, tried
from node.store.states import DeliveryState, MessageKind, OutboxState
from node.store.troubles import NO_TROUBLE, trouble_values
from node.store.verdicts import GuardVerdict
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.envelope import Selector, Sha256Hex


@dataclass(frozen=True, slots=True)
class KnownKey:
    """What an idempotency key stands for already."""

    message_id: Sha256Hex
    fingerprint: Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """An agency that a message goes to: `code` of today, and as `written` in the message.

    `selected`: no To names it, a selector found it.
    """

    code: AgencyCode
    written: AgencyCode
    name: str | None
    selected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A sealed message to queue, with the key under which it was handed in, and what guards said of it."""

    message: RecordedMessage
    adapter: str
    key: str
    fingerprint: Sha256Hex
    submission_id: str
    created_at: datetime
    recipients: Sequence[Recipient]
    selectors: Sequence[Selector] = ()
    verdicts: Sequence[GuardVerdict] = ()
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """Whose message one of ours is, and where it stands."""

    sender: AgencyCode
    state: OutboxState


# What each message needs is built once: to build a statement costs four times what it costs to run it.
_KNOWN_KEY = Prepared(
    select(outbox.c.message_id, outbox.c.fingerprint).where(
        outbox.c.adapter == bindparam("of_adapter"),
        outbox.c.sender == bindparam("of_sender"),
        outbox.c.key == bindparam("of_key"),
    )
)
_STANDING = Prepared(select(outbox.c.sender, outbox.c.state).where(outbox.c.message_id == bindparam("of_message")))
_STANDINGS = Prepared(
    select(outbox.c.message_id, outbox.c.sender, outbox.c.state).where(
        outbox.c.message_id.in_(bindparam("of_messages", expanding=True))
    )
)
_ADD = Prepared(insert(outbox))
_ADD_RECIPIENT = Prepared(insert(outbox_recipients))
_ACCEPT = Prepared(
    update(outbox)
    .where(outbox.c.message_id == bindparam("of_message"), outbox.c.state != OutboxState.ACCEPTED)
    .values(
        state=OutboxState.ACCEPTED,
        due_at=None,
        accepted_at=bindparam("accepted"),
        epoch=bindparam("in_epoch"),
        attempts=outbox.c.attempts + 1,
        tried_at=bindparam("at"),
        **NO_TROUBLE,
    )
)
_ACCEPT_DELIVERIES = Prepared(
    update(outbox_recipients)
    .where(
        outbox_recipients.c.message_id == bindparam("of_message"),
        outbox_recipients.c.delivery == DeliveryState.WAITING,
    )
    .values(delivery=DeliveryState.ACCEPTED, since=bindparam("accepted"))
)
_RELEASE_SUCCESSORS = Prepared(
    delete(outbox_predecessors)
    .where(outbox_predecessors.c.predecessor == bindparam("of_message"))
    .returning(outbox_predecessors.c.message_id)
)


def known_key(transaction: Transaction, adapter: str, sender: AgencyCode, key: str) -> KnownKey | None:
    asked = {"of_adapter": adapter, "of_sender": sender, "of_key": key}
    row = _KNOWN_KEY.first(transaction, asked)
    return None if row is None else KnownKey(row.message_id, row.fingerprint)


def standing_of(transaction: Transaction, message_id: Sha256Hex) -> OwnMessage | None:
    """None if the message is not one of ours."""
    row = _STANDING.first(transaction, {"of_message": message_id})
    return None if row is None else OwnMessage(row.sender, OutboxState(row.state))


def standings_of(transaction: Transaction, message_ids: Collection[Sha256Hex]) -> dict[Sha256Hex, OwnMessage]:
    """Those of `message_ids` that are ours."""
    rows = _STANDINGS.all(transaction, {"of_messages": list(message_ids)})
    return {row.message_id: OwnMessage(row.sender, OutboxState(row.state)) for row in rows}


def recipients_of(transaction: Transaction, message_id: Sha256Hex) -> tuple[Recipient, ...]:
    """Whom a message of ours goes to, in the order written."""
    columns = outbox_recipients.c
    rows = transaction.execute(
        select(columns.code, columns.written, columns.name, columns.selected)
        .where(columns.message_id == message_id)
        .order_by(columns.position)
    )
    return tuple(Recipient(code=row.code, written=row.written, name=row.name, selected=row.selected) for row in rows)


def add_recipients(
    transaction: Transaction,
    message_id: Sha256Hex,
    recipients: Sequence[Recipient],
    *,
    state: OutboxState,
    after: int,
    at: datetime,
) -> None:
    """Add recipients to a message of ours that stands at `state`, numbered from `after` on."""
    delivery = DeliveryState.WAITING if state.is_waiting else DeliveryState.ACCEPTED
    _ADD_RECIPIENT.run_each(
        transaction,
        [
            {
                "message_id": message_id,
                "code": recipient.code,
                "position": position,
                "written": recipient.written,
                "name": recipient.name,
                "selected": recipient.selected,
                "delivery": delivery,
                "since": at,
            }
            for position, recipient in enumerate(recipients, start=after)
        ],
    )


def drop_recipients(transaction: Transaction, message_id: Sha256Hex, codes: Sequence[AgencyCode]) -> None:
    """A message of ours does not go to these after all; whoever it was accepted for before stays."""
    if codes:
        transaction.execute(
            delete(outbox_recipients).where(
                outbox_recipients.c.message_id == message_id,
                outbox_recipients.c.code == bindparam("gone"),
                outbox_recipients.c.delivery == DeliveryState.WAITING,
            ),
            [{"gone": code} for code in codes],
        )


def add(transaction: Transaction, entry: OutboxEntry) -> KnownKey | None:
    """Queue `entry`, whole, and give None; if its key is known, write nothing and give what it stands for.

    Another process that uses the same key at this moment collides with this transaction, which is then run again and
    finds the key (docs/adr/0007); on SQLite it waits for this one.
    """
    message = entry.message
    known = known_key(transaction, entry.adapter, message.sender, entry.key)
    if known is not None:
        return known
    claimed = recovered.claim(
        transaction,
        submission_id=entry.submission_id,
        adapter=entry.adapter,
        key=entry.key,
        fingerprint=entry.fingerprint,
    )
    if claimed is not None:
        return KnownKey(claimed, entry.fingerprint)
    sequence = message_store.add(transaction, message)
    waits_for = _waiting_predecessors(transaction, entry)
    _ADD.run(
        transaction,
        {
            "message_id": message.message_id,
            "sequence": sequence,
            "adapter": entry.adapter,
            "sender": message.sender,
            "key": entry.key,
            "fingerprint": entry.fingerprint,
            "submission_id": entry.submission_id,
            "created_at": entry.created_at,
            "state": OutboxState.HELD if waits_for else OutboxState.READY,
            "lane": message.lane,
            "attempts": 0,
            "kept_from": entry.created_at,
            "verdicts": entry.verdicts,
            "override_by": entry.override.by if entry.override else None,
            "override_reason": entry.override.reason if entry.override else None,
        },
    )
    add_recipients(
        transaction, message.message_id, entry.recipients, state=OutboxState.READY, after=0, at=entry.created_at
    )
    selection.add_selectors(transaction, message.message_id, entry.selectors)
    for predecessor in waits_for:
        transaction.execute(insert(outbox_predecessors).values(message_id=message.message_id, predecessor=predecessor))
    lift(transaction, waits_for, message.lane)
    business.enter_sent(transaction, message, [recipient.code for recipient in entry.recipients], at=entry.created_at)
    return None


def _waiting_predecessors(transaction: Transaction, entry: OutboxEntry) -> list[Sha256Hex]:
    spoken_of = list(entry.message.envelope.extension.about)
    if not spoken_of:
        return []
    speaking_too = select(about.c.message_id).where(
        about.c.about.in_(spoken_of), about.c.sender == entry.message.sender
    )
    return list(
        transaction.scalars(
            select(outbox.c.message_id).where(
                outbox.c.state.in_(WAITING),
                outbox.c.message_id.in_(spoken_of) | outbox.c.message_id.in_(speaking_too),
                outbox.c.message_id != entry.message.message_id,
            )
        )
    )


def lift(transaction: Transaction, message_ids: Sequence[Sha256Hex], lane: int) -> None:
    """Let messages that an urgent one waits for, and those that these wait for, be as urgent as that one."""
    above = message_ids
    while above:
        lifted = transaction.scalars(
            update(outbox)
            .where(outbox.c.message_id.in_(above), outbox.c.lane > lane)
            .values(lane=lane)
            .returning(outbox.c.message_id)
        ).all()
        above = (
            lifted
            and transaction.scalars(
                select(outbox_predecessors.c.predecessor).where(outbox_predecessors.c.message_id.in_(lifted))
            ).all()
        )


def accept(transaction: Transaction, message_id: Sha256Hex, *, accepted_at: datetime, epoch: str, at: datetime) -> bool:
    """The hub has the message since `accepted_at`, by its clock. False if that was known."""
    told = {"of_message": message_id, "accepted": accepted_at, "in_epoch": epoch, "at": at}
    changed = _ACCEPT.run(transaction, told)
    if not changed:
        return False
    _ACCEPT_DELIVERIES.run(transaction, {"of_message": message_id, "accepted": accepted_at})
    _free(transaction, _release_successors(transaction, message_id))
    events.tell(transaction, EventName.DELIVERY_ACCEPTED, message_id, at=at, kinds=(MessageKind.DOCUMENT,))
    return True


def refuse(transaction: Transaction, message_id: Sha256Hex, trouble: Trouble, *, at: datetime) -> None:
    """The message will never be sent, nor what speaks of it: a hub that lacks the document would refuse that too."""
    to_refuse = [(message_id, trouble)]
    while to_refuse:
        refused, reason = to_refuse.pop()
        if not _refuse_one(transaction, refused, reason, at):
            continue
        successors = _release_successors(transaction, refused)
        speaking = [name for name in successors if refused in message_store.about_of(transaction, name)]
        _free(transaction, [name for name in successors if name not in speaking])
        why = Trouble(
            code="predecessor-refused",
            text=f"The message {refused}, which this one speaks of, was refused.",
            mend="Correct that message and send it anew, then this one.",
        )
        to_refuse.extend((name, why) for name in speaking)


def _refuse_one(transaction: Transaction, message_id: Sha256Hex, trouble: Trouble, at: datetime) -> bool:
    changed = transaction.execute(
        update(outbox)
        .where(outbox.c.message_id == message_id, outbox.c.state.in_(WAITING))
        .values(state=OutboxState.REFUSED, due_at=None, **tried(at), **trouble_values(trouble))
    ).rowcount
    if not changed:
        return False
    transaction.execute(
        update(outbox_recipients)
        .where(outbox_recipients.c.message_id == message_id, outbox_recipients.c.delivery == DeliveryState.WAITING)
        .values(delivery=DeliveryState.REFUSED, since=at, trouble_code=trouble.code, trouble_text=trouble.text)
    )
    business.enter_refused(transaction, message_id)
    events.tell(transaction, EventName.DELIVERY_REFUSED, message_id, at=at, text=trouble.text)
    return True


def _release_successors(transaction: Transaction, message_id: Sha256Hex) -> Sequence[Sha256Hex]:
    """Those that wait for `message_id` no longer do."""
    return _RELEASE_SUCCESSORS.scalars(transaction, {"of_message": message_id})


def _free(transaction: Transaction, message_ids: Sequence[Sha256Hex]) -> None:
    """Make ready those of `message_ids` that wait for nothing any more."""
    if not message_ids:
        return
    still_waiting = select(outbox_predecessors.c.message_id).where(outbox_predecessors.c.message_id.in_(message_ids))
    transaction.execute(
        update(outbox)
        .where(
            outbox.c.message_id.in_(message_ids),
            outbox.c.state == OutboxState.HELD,
            outbox.c.message_id.not_in(still_waiting),
        )
        .values(state=OutboxState.READY)
    )
