"""What software gives to the node to send, and how far that has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from adapters.sdk.deliveries import DeliveryKey
from schemas.codes import AgencyCode
from schemas.envelope import Override, SecrecyLevel, Selector, Sha256Hex
from schemas.message import BusinessType, Document, DocumentCode, StaffInfo, StatusCode, StatusMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAttachment:
    """A file to send. The node reads `path` during `submit` and keeps its own copy."""

    name: str
    content_type: str
    description: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message to send, once.

    `key` is the caller's idempotency key: unique for one adapter and one From code. `fingerprint` is the SHA-256
    (hex) of what the caller was handed: the same key with another fingerprint is a conflict (`key-conflict`), with
    the same it is the same message. A document's `references` are made from `attachments`, and its `trace` is the
    node's if empty.
    `about` names messages explicitly; if empty, the node resolves the DocumentIds that the message itself names.
    What was not fetched at `expires_at` is delivered no more; the hub's own time to live may end it sooner.
    `selectors` name recipients by rule, of a new document alone: every active agency at or below a code, or a group.
    `override` is who answers for what the guards would refuse, where one lets that count.
    """

    key: str
    fingerprint: Sha256Hex
    message: Document | StatusMessage
    attachments: Sequence[OutgoingAttachment] = ()
    about: Sequence[Sha256Hex] = ()
    secrecy: SecrecyLevel | None = None
    override: Override | None = None
    expires_at: datetime | None = None
    selectors: Sequence[Selector] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallOrder:
    """A document of ours, by its message id, to be given back: by `recipients`, or by all who have it (None).

    `key` is an idempotency key as of a `Submission`. They read the `reason`.
    """

    key: str
    message_id: Sha256Hex
    reason: str
    recipients: Sequence[AgencyCode] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateOrder:
    """What is to change in a document of ours: what it says (`metadata`), its files, its receivers.

    `metadata` has the keys of document metadata that are to be otherwise, without `from`, `to` and `business`;
    `attachments` come in the place of those there were, if there are any. Receivers in `add` get the document as it is
    then, those in `remove` a recall. `key`, `fingerprint` and `override` are as of a `Submission`.
    """

    key: str
    fingerprint: Sha256Hex
    message_id: Sha256Hex
    reason: str
    metadata: Mapping[str, object] = field(default_factory=dict)
    attachments: Sequence[OutgoingAttachment] = ()
    add: Sequence[AgencyCode] = ()
    remove: Sequence[AgencyCode] = ()
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The node has the message durably and sends it; `repeated` if the key was known."""

    message_id: Sha256Hex
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """What one of our agencies says of a document that it received.

    `key` is an idempotency key as of a `Submission`. `delivery` names the document and the agency that speaks; with
    status 13, which takes a document back, it is a document of ours and its sender. A refusal needs a `reason`; without
    one other statuses bear the usual words. `at` is when it was said (None: now).
    """

    key: str
    delivery: DeliveryKey
    status: StatusCode
    reason: str | None = None
    staff: StaffInfo | None = None
    at: datetime | None = None


class DeliveryState(StrEnum):
    """How far a message of ours has come to one recipient.

    `waiting` for the hub, `accepted` by it, `consigned` (durably stored by the recipient's node), `handed-over` to its
    software; `refused` or `failed` there; `expired` or `cancelled` at the hub.
    """

    WAITING = "waiting"
    ACCEPTED = "accepted"
    CONSIGNED = "consigned"
    HANDED_OVER = "handed-over"
    HANDOVER_FAILED = "handover-failed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Standing(StrEnum):
    """Where a message of ours stands at one recipient, by its delivery, the statuses and the requests.

    `agreed` and `declined` are the answers to a recall or an update itself; a document whose recall was agreed is
    `recalled`.
    """

    WAITING = "waiting"
    SENT = "sent"
    ARRIVED = "arrived"
    ACCEPTED = "accepted"
    ASSIGNED = "assigned"
    PROCESSING = "processing"
    FINISHED = "finished"
    REFUSED = "refused"
    RECALLED = "recalled"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    AGREED = "agreed"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRecipient:
    """A document of ours at one recipient. `delivery` has stood since `since`; `trouble` says why it came no further.

    `status` is the furthest that came back from there, with its words and its time.
    """

    code: AgencyCode
    name: str | None
    standing: Standing
    delivery: DeliveryState
    since: datetime
    trouble: str | None
    status: StatusCode | None
    status_text: str | None
    status_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentDocument:
    """A document that this node sent, newest first in a list. `accepted_at` is when the hub took it, None before.

    `refused` is the hub's reason if it refused it. `adapter` and `key` say who submitted it. `stands` counts all
    recipients, `recipients` are the first of them. `cursor`, as `after`, goes on behind it.
    """

    message_id: Sha256Hex
    adapter: str
    key: str
    sender: AgencyCode
    document_id: str | None
    code: DocumentCode | None
    subject: str | None
    business: BusinessType | None
    created_at: datetime
    accepted_at: datetime | None
    refused: str | None
    recipients: tuple[SentRecipient, ...]
    stands: Mapping[Standing, int]
    cursor: str
