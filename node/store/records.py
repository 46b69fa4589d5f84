"""What the node's record shows: frozen values, made for commands and consoles to print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from adapters.sdk import Override
from node.store.states import (
    CompanionRole,
    DeadlineStage,
    DeliveryState,
    Direction,
    HandoverState,
    MessageKind,
    OutboxState,
    RequestState,
    Standing,
)
from node.store.verdicts import GuardVerdict
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType, DocumentCode, Priority, StatusCode
from schemas.receipts import Issuer, ReceiptEvent, SignedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why something waits or was refused: the error's stable code, its sentence, its place in the message, its mend."""

    code: str
    text: str
    element: str | None = None
    line: int | None = None
    mend: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFacts:
    """What a message is. `subject` is a document's; `status` a status message's; `about` whom it speaks of.

    `code` (number and notation) and `document_type` are a document's; None of what came before they were kept.
    `purged_at` is when its bytes were dropped by the retention rule.
    """

    message_id: Sha256Hex
    kind: MessageKind
    sender: AgencyCode
    sender_name: str | None
    document_id: str | None
    subject: str | None
    business: BusinessType | None
    status: StatusCode | None
    description: str | None
    priority: Priority
    due_date: str | None
    about: tuple[Sha256Hex, ...]
    sealed_bytes: int
    purged_at: datetime | None
    code: DocumentCode | None
    document_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """What a recall or an update (`message_id`) asks the recipient `code` about `about`, and the answer to it.

    `reason` is what the answer said in words.
    """

    message_id: Sha256Hex
    about: Sha256Hex
    code: AgencyCode
    kind: BusinessType
    state: RequestState
    opened_at: datetime
    answered_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanionRow:
    """A message that went out as part of another one of ours, `leader`. A copy is one of `document`."""

    message_id: Sha256Hex
    leader: Sha256Hex
    role: CompanionRole
    document: Sha256Hex | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRow:
    """How far a message of ours has come to one recipient, and the furthest status that came back from there.

    `code` is today's code, `written` the one in the message; `since` is when `delivery` began. `standing` is where the
    document stands there, by all that is known; `requests` are the recalls and updates of it.
    """

    code: AgencyCode
    written: AgencyCode
    name: str | None
    standing: Standing
    delivery: DeliveryState
    since: datetime
    trouble: Trouble | None = None
    status: StatusCode | None = None
    status_text: str | None = None
    status_at: datetime | None = None
    requests: tuple[RequestRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRow:
    """An attachment on its way: `position` of `size` bytes, and how many came each second since this try began.

    What is copied into the node has neither message nor digest yet.
    """

    direction: Direction
    message_id: Sha256Hex | None
    digest: Sha256Hex | None
    size: int
    position: int
    began_at: datetime
    bytes_per_second: float

    @property
    def percent(self) -> int:
        return 100 * self.position // self.size if self.size else 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message of ours. While it waits, `trouble` says why, `attempts` how often it was tried, `tried_at` when last,
    `next_attempt_at` when it is tried again (None: at once); after a refusal `trouble` is the reason. `companions` are
    the messages that went along with it, those with which it went, and the copies of it; `transfers`
    its attachments that are on their way at this moment.

    `verdicts` are what the guards said when it was submitted, in order; `override` is who answered for what they would
    have refused. `stands` counts all its recipients by where it stands there; `recipients` are all of them, or as many
    as were asked for."""

    message: MessageFacts
    adapter: str
    key: str
    state: OutboxState
    created_at: datetime
    accepted_at: datetime | None
    attempts: int
    tried_at: datetime | None
    next_attempt_at: datetime | None
    trouble: Trouble | None
    recipients: tuple[RecipientRow, ...]
    stands: Mapping[Standing, int]
    companions: tuple[CompanionRow, ...] = ()
    transfers: tuple[TransferRow, ...] = ()
    verdicts: tuple[GuardVerdict, ...] = ()
    override: Override | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRow:
    """Until when one of our agencies is to have finished a document; `near_at`, `past_at`: when that was told."""

    message_id: Sha256Hex
    code: AgencyCode
    due_at: datetime
    stage: DeadlineStage
    near_at: datetime | None
    past_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRow:
    """A document that one of our agencies has not finished, with its deadline. `status` is the last that it gave."""

    message: MessageFacts
    deadline: DeadlineRow
    received_at: datetime
    status: StatusCode | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverRow:
    """A received message on its way to one agency's software; `since` is when `state` began.

    `requests` are the recalls and updates of it that came for this agency, and, of a recall or update, itself.
    `verdicts` are what the guards said in the last round.
    """

    code: AgencyCode
    state: HandoverState
    since: datetime
    attempts: int
    next_attempt_at: datetime | None
    trouble: Trouble | None
    deadline: DeadlineRow | None = None
    requests: tuple[RequestRow, ...] = ()
    verdicts: tuple[GuardVerdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """A message received. `signer` is the subject of the certificate that sealed it; `accepted_at` the hub's time."""

    message: MessageFacts
    signer: str
    signed_at: datetime
    accepted_at: datetime
    received_at: datetime
    handovers: tuple[HandoverRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRow:
    name: str
    content_type: str
    description: str
    digest: Sha256Hex
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """A receipt, verified when it was stored; `signed` is what proves it to others."""

    receipt_id: str
    event: ReceiptEvent
    issuer: Issuer
    recipient: AgencyCode | None
    occurred_at: datetime
    stored_at: datetime
    trouble: Trouble | None
    signed: SignedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEvent:
    """One step in the life of a message. `event` is a dotted name, `code` the agency it happened at or for."""

    at: datetime
    event: str
    code: AgencyCode | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStory:
    """All that the node knows of one message, as its sender (`outbox`), its recipient (`inbox`), or both.

    `receipts` are all of them in the order of what they attest, or as many as were asked for; `receipts_count` says how
    many there are.
    """

    message: MessageFacts
    outbox: OutboxRow | None
    inbox: InboxRow | None
    attachments: tuple[AttachmentRow, ...]
    receipts: tuple[ReceiptRow, ...]
    receipts_count: int
    events: tuple[StoryEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubContact:
    """What the daemon last saw of its hub. `unreachable_since` and `trouble` are set while it cannot be reached;
    `clock_ahead` is by how many seconds this machine's clock is ahead of the hub's."""

    last_contact_at: datetime | None
    unreachable_since: datetime | None
    trouble: Trouble | None
    epoch: str | None
    clock_ahead: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryState:
    """The copy of the directory: its version (0: none yet), the newest one that the hub has spoken of, its expiry."""

    version: int
    latest: int
    expires_at: datetime | None
    agencies: int
    applied_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """How the node does. `oldest_waiting_at` is when the oldest message that still waits for the hub was submitted;
    `resubmissions_waiting` counts what a restored hub is still to be brought again; `transfers` are the attachments on
    their way at this moment."""

    connection: str
    hub: str
    served_codes: tuple[AgencyCode, ...]
    contact: HubContact
    directory: DirectoryState
    outbox: dict[OutboxState, int]
    oldest_waiting_at: datetime | None
    inbox: int
    handovers: dict[HandoverState, int]
    deadlines: dict[DeadlineStage, int]
    reports_waiting: int
    resubmissions_waiting: int
    free_bytes: int | None
    transfers: tuple[TransferRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """The deliveries of one agency's messages, or of all (`code` None): accepted = delivered + refused + expired +
    cancelled + pending, counted in one snapshot."""

    code: AgencyCode | None
    accepted: int
    delivered: int
    refused: int
    expired: int
    cancelled: int
    pending: int
