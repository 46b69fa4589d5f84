"""The whole story of a message, for the hub's operator: each step in the order of time, and how it stands now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hub.store import audit_log, delivery_listing, fanouts, stories
from hub.store.audit_log import AuditEntry
from hub.store.deliveries import DeliveryState
from hub.store.delivery_listing import ListedDelivery
from hub.store.messages import KnownMessage, MessageKind
from hub.store.metadata import Transaction
from hub.store.stories import Accepting, SpeakingMessage, StoredReceipt
from hub.usecases.naming import messages_named
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex
from schemas.message import StatusMessage
from schemas.receipt_codec import read_receipt
from schemas.receipts import ReceiptEvent
from schemas.travel import parse_envelope, read_envelope

#: Receipts, messages that speak of it, and orders that one story tells; a circular to thousands has more.
_MOST_RECEIPTS: Final = 5000
_MOST_SPEAKING: Final = 500
_MOST_ORDERS: Final = 200
#: Codes that one step names.
_CODES: Final = 10


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened at `at`, by the hub's clock: `event` to `recipient`'s delivery, by `party`.

    `told_at` is when the party says that it happened, by its own clock.
    """

    at: datetime
    event: str
    recipient: str | None
    party: str
    detail: str | None
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Speaking:
    """A message that speaks of the one of the story: what it says, and how many of its deliveries stand where."""

    message_id: Sha256Hex
    kind: MessageKind
    sender: str
    says: str | None
    accepted_at: datetime
    deliveries: dict[str, int]


@dataclass(frozen=True, slots=True)
class Namesake:
    """Another message that answers to the same name."""

    message_id: Sha256Hex
    kind: MessageKind
    sender: str
    accepted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A message and what became of it; `more_receipts` if some steps are left out for their number.

    `unwritten` are recipients that the fan-out has not come to yet.
    """

    message_id: Sha256Hex
    kind: MessageKind
    document_id: str | None
    sender: str
    connection: str
    priority: int
    accepted_at: datetime
    expires_at: datetime
    purged_at: datetime | None
    directory_version: int
    recipients: int
    left_out: tuple[str, ...]
    speaks_of: tuple[Sha256Hex, ...]
    deliveries: tuple[ListedDelivery, ...]
    unwritten: tuple[str, ...]
    steps: tuple[Step, ...]
    more_receipts: bool
    speaking: tuple[Speaking, ...]
    namesakes: tuple[Namesake, ...]


async def story_of(database: Database, name: str, clock: Clock) -> Story:
    """The story of the message that `name` means; of the newest, if it means several.

    Raises `message-unknown`.
    """

    def question(transaction: Transaction) -> Story:
        message, *others = messages_named(transaction, name)
        return _story(transaction, message, others, clock())

    return await database.read(question)


def _story(transaction: Transaction, message: KnownMessage, others: Sequence[KnownMessage], now: datetime) -> Story:
    number = message.message
    accepting = stories.accepting(transaction, number)
    receipts = stories.receipts_of(transaction, number, most=_MOST_RECEIPTS + 1)
    speaking = stories.speaking_of(transaction, number, most=_MOST_SPEAKING)
    orders = audit_log.latest(transaction, message.message_id, limit=_MOST_ORDERS)
    steps = [
        _acceptance(message, accepting),
        # Of one moment: an order comes before what it led to.
        *(_order_step(order) for order in orders),
        *_receipt_steps(receipts[:_MOST_RECEIPTS]),
    ]
    counts = stories.counted(transaction, [each.message for each in speaking])
    return Story(
        message_id=message.message_id,
        kind=message.kind,
        document_id=message.document_id,
        sender=message.sender,
        connection=message.connection,
        priority=message.priority,
        accepted_at=message.accepted_at,
        expires_at=message.expires_at,
        purged_at=accepting.purged_at,
        directory_version=accepting.directory_version,
        recipients=accepting.recipients_count,
        left_out=accepting.left_out,
        speaks_of=tuple(stories.spoken_of(transaction, number)),
        deliveries=tuple(delivery_listing.of_message(transaction, number, at=now)),
        unwritten=tuple(target.recipient for target in fanouts.unwritten(transaction, number)),
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        more_receipts=len(receipts) > _MOST_RECEIPTS,
        speaking=tuple(_speaking(each, counts.get(each.message, Counter())) for each in speaking),
        namesakes=tuple(Namesake(each.message_id, each.kind, each.sender, each.accepted_at) for each in others),
    )


def _acceptance(message: KnownMessage, accepting: Accepting) -> Step:
    detail = (
        f"for {accepting.recipients_count} recipients of directory version {accepting.directory_version}, "
        f"priority {message.priority}"
    )
    if accepting.left_out:
        detail += f"; left out, not active: {', '.join(accepting.left_out[:_CODES])}"
    return Step(message.accepted_at, "accepted", None, message.sender, detail)


def _receipt_steps(receipts: Sequence[StoredReceipt]) -> Iterator[Step]:
    for stored in receipts:
        receipt = read_receipt(stored.body)
        if receipt.event is ReceiptEvent.SUBMISSION_ACCEPTANCE:
            continue
        why = [f"{receipt.reason.code}: {receipt.reason.text}"] if receipt.reason else []
        again = [f"round {stored.round + 1}"] if stored.round else []
        yield Step(
            stored.stored_at,
            receipt.event.value,
            receipt.recipient.value if receipt.recipient else None,
            receipt.issuer.name,
            "; ".join([*why, *again]) or None,
            receipt.occurred_at,
        )


def _order_step(order: AuditEntry) -> Step:
    codes = [code for key in ("recipients", "queued", "offered_again") for code in order.detail.get(key) or ()]
    reason = order.detail.get("reason")
    detail = ", ".join(codes[:_CODES]) + (f" and {len(codes) - _CODES} more" if len(codes) > _CODES else "")
    return Step(order.at, order.action, None, order.actor, f"{detail}: {reason}" if reason else detail)


def _speaking(each: SpeakingMessage, count: Counter[DeliveryState]) -> Speaking:
    says = each.document_id
    if each.kind is MessageKind.STATUS and each.envelope is not None:
        message = read_envelope(parse_envelope(each.envelope)).message
        assert isinstance(message, StatusMessage)  # noqa: S101 - its kind was taken from this very envelope
        says = f"{message.status_code} {message.description or ''}".strip()
    return Speaking(
        each.message_id,
        each.kind,
        each.sender,
        says,
        each.accepted_at,
        {state.value: number for state, number in sorted(count.items())},
    )
