"""The JSON of the API: what it answers, and what it takes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue

from adapters.delivery_json import AttachmentFactsJson, DeliveryJson, MessageId
from adapters.event_json import EventJson
from adapters.message_json import Code, DocumentCodeJson, JsonShape, StaffJson
from adapters.rest.tokens import Scope
from adapters.sdk import DeliveryState, MessageKind, Standing, UnitStanding
from schemas.message import StatusCode

Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=2000)]
#: As `LockJson.lock` gives it: a word of the caller's own would be everybody's who takes the same.
LockText: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
#: "15" and "16" answer a recall or an update, "13" takes a document of one's own back.
ReportedStatus: TypeAlias = Literal["02", "03", "04", "05", "06", "13", "15", "16"]


#: What an envelope carries of it (`schemas.travel_rules`), with a letter in it.
OverrideText: TypeAlias = Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S")]


class TokenJson(JsonShape):
    """What the token gives, and whom the node serves."""

    name: str
    scopes: tuple[Scope, ...]
    agencies: tuple[str, ...]
    """The agencies that the token is for, and all below them; none: all that the node serves."""
    served: tuple[str, ...]
    """The agencies of this node for which the token may be used."""
    expires_at: datetime


class Submission(JsonShape):
    """A message that the node has and sends."""

    message_id: MessageId
    repeated: bool
    """True if the same Idempotency-Key brought the same before: nothing is sent twice."""


class OverrideRequest(JsonShape):
    """A person answers for a mark of secrecy that a guard reads in the document: it is signed and kept with it."""

    by: OverrideText
    """Who, by name and office."""
    reason: OverrideText
    """Why it may travel."""


class RecallRequest(JsonShape):
    """A document is to be given back; its recipients answer with status 15 or 16."""

    reason: Text
    """They read it."""
    to: Annotated[tuple[Code, ...], Field(min_length=1, max_length=1000)] | None = None
    """Only these; absent: all who have it."""


class UpdateRequest(JsonShape):
    """What is to change in a document, by `metadata`, `add` or `remove`."""

    reason: Text
    """Its recipients read it, and answer with status 15 or 16."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    """What it says otherwise: keys of document metadata, without `from`, `to` and `business`."""
    add: Annotated[tuple[Code, ...], Field(max_length=1000)] = ()
    """These get the document as it is then."""
    remove: Annotated[tuple[Code, ...], Field(max_length=1000)] = ()
    """From these it is recalled."""
    override: OverrideRequest | None = None


class SentRecipientJson(JsonShape):
    """A document of ours at one recipient."""

    agency: str
    name: str | None = None
    standing: Standing
    """All in one word."""
    delivery: DeliveryState
    since: datetime
    trouble: str | None = None
    status: StatusCode | None = None
    """The furthest status that came back from there."""
    status_text: str | None = None
    status_at: datetime | None = None


class SentDocumentJson(JsonShape):
    """A document that this node sent."""

    message_id: MessageId
    from_: Annotated[str, Field(alias="from")]
    document_id: str | None = None
    code: DocumentCodeJson | None = None
    subject: str | None = None
    business: Literal["new", "recall", "update", "replace"] | None = None
    created_at: datetime
    accepted_at: datetime | None = None
    """When the hub took it; absent before."""
    refused: str | None = None
    """The hub's reason, if it refused it."""
    adapter: str
    """Which adapter of the node submitted it, under which `key`: of this API's own the Idempotency-Key."""
    key: str
    standings: dict[Standing, int]
    """How many recipients stand where."""
    recipients: tuple[SentRecipientJson, ...]
    """The first of them."""


class SentList(JsonShape):
    """Documents sent, the newest first."""

    documents: tuple[SentDocumentJson, ...]
    next: str | None = None
    """Give it as `after` for those that follow; absent at the end."""


class WaitingJson(JsonShape):
    """A message that waits to be fetched, in short."""

    message_id: MessageId
    recipient: str
    kind: MessageKind
    from_: Annotated[str, Field(alias="from")]
    from_name: str | None = None
    document_id: str | None = None
    code: DocumentCodeJson | None = None
    subject: str | None = None
    business: Literal["new", "recall", "update", "replace"] | None = None
    status: StatusCode | None = None
    priority: Annotated[int, Field(ge=0, le=4)]
    about: tuple[str, ...]
    """The message ids of which it speaks."""
    received_at: datetime
    locked_until: datetime | None = None
    parked: str | None = None
    """The reason why the software could not take it; a person must have it tried again."""


class WaitingList(JsonShape):
    """What waits, the most urgent first."""

    messages: tuple[WaitingJson, ...]
    next: str | None = None
    """Give it as `after` for those that follow; absent at the end."""


class WaitingCount(JsonShape):
    """How many wait."""

    documents: int
    statuses: int


class KeyJson(JsonShape):
    """A message for one agency."""

    message_id: MessageId
    recipient: Code


class LockRequest(JsonShape):
    """Which messages to lock: the `messages` named, else the first `limit` that nobody has locked."""

    seconds: Annotated[int, Field(ge=1, le=86_400)]
    """How long; then the lock lapses by itself."""
    messages: Annotated[tuple[KeyJson, ...], Field(max_length=1000)] = ()
    renew: LockText | None = None
    """A lock that is to last longer, for the same `messages`."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 10
    kind: MessageKind | None = None
    recipients: Annotated[tuple[Code, ...], Field(max_length=1000)] = ()


class LockJson(JsonShape):
    """What is locked. Whoever has the `lock` confirms or unlocks; nobody else until it lapses."""

    lock: str | None = None
    """Absent if there was nothing to lock."""
    until: datetime | None = None
    messages: tuple[KeyJson, ...]


class UnlockRequest(JsonShape):
    """Locked messages to let go of."""

    lock: LockText
    messages: Annotated[tuple[KeyJson, ...], Field(max_length=1000)]


class ConfirmRequest(JsonShape):
    """What the software made of a message."""

    outcome: Literal["accepted", "refused", "failed"]
    """`accepted`: it has it, durably. `refused`: for good; its sender gets status 02. `failed`: it cannot take it; the
    message is parked, and a person has it tried again."""
    reason: Text | None = None
    """Needed unless it is accepted."""
    lock: LockText | None = None
    """The lock, if the message is locked."""


class Confirmed(JsonShape):
    """A message that is done with; the same confirmation again is answered the same."""

    message_id: MessageId
    recipient: str
    outcome: Literal["accepted", "refused", "failed"]


class AttachmentJson(AttachmentFactsJson):
    """A file that came with a document. `name` is as its sender wrote it: make it safe before it names a file."""

    path: str
    """Where to fetch it, at this address."""


class FetchedMessage(DeliveryJson):
    """A message whole."""

    attachments: tuple[AttachmentJson, ...]


class StatusRequest(JsonShape):
    """A status of a document that came; 13 of one that was sent."""

    message_id: MessageId
    agency: Code
    """The agency that says it: the document's recipient; with 13 its sender."""
    status: ReportedStatus
    reason: Text | None = None
    """Needed with 02 and 16."""
    staff: StaffJson | None = None


class AgencyJson(JsonShape):
    """An agency of the directory."""

    code: str
    name: str
    older_codes: tuple[str, ...]
    status: Literal["active", "suspended", "retired"]


class AgencyList(JsonShape):
    """Agencies, by code."""

    agencies: tuple[AgencyJson, ...]
    next: str | None = None
    """Give it as `after` for those that follow; absent at the end."""


class UnitRequest(JsonShape):
    """A unit that the node is to serve."""

    name: Annotated[str, Field(min_length=1, max_length=500)]
    mail: Annotated[str, Field(max_length=200)] = ""
    """For the hub's operator, who may have to approve."""
    phone: Annotated[str, Field(max_length=50)] = ""


class UnitJson(JsonShape):
    """What came of a wish about a unit."""

    code: str
    standing: UnitStanding


class EventList(JsonShape):
    """Events in the order of their numbers."""

    events: tuple[EventJson, ...]
    last: int
    """Give it as `after` for what follows."""
