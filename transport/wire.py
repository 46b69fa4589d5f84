"""The JSON forms of the protocol. Bytes travel as base64 in the URL-safe alphabet (RFC 4648, section 5)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import Rejected
from transport.problems import Problem

WireT = TypeVar("WireT", bound="Wire")

#: A lease, an epoch, or what a message calls a proof: tokens, of which the longest that is made has 64 characters.
Token: TypeAlias = Annotated[str, Field(max_length=128)]

#: What a peer says in its own words is cut here, and not refused: it explains, and decides nothing.
REASON_CHARACTERS: Final = 1000
ReasonText: TypeAlias = Annotated[str, AfterValidator(lambda text: text[:REASON_CHARACTERS])]

#: Of a member's name that many characters are told; keys are the peer's own.
_MEMBER_CHARACTERS: Final = 200


class Wire(BaseModel):
    """A wire form. Unknown members are passed over, so that a newer peer can say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")

    def encode(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


def decode(form: type[WireT], body: bytes) -> WireT:
    """Read `body` as `form`; raises `request-malformed` naming the first member that is wrong."""
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        member = ".".join(str(part) for part in first["loc"]) or "the body"
        member = member[:_MEMBER_CHARACTERS]
        raise Rejected("request-malformed", f"{member}: {first['msg']}.", element=member) from error


class ReceiptRef(Wire):
    """A receipt, and the key in the message's `proofs` of the proof that signs it."""

    receipt: bytes
    proof: Token


class HubIdentity(Wire):
    """What a node must know of its hub: its name, its authority (PEM certificates), the epoch of its store."""

    name: str
    authority: str
    epoch: Token


class EnrolmentRequest(Wire):
    """`POST /v1/enrolments`, with the token's secret as `Authorization: Bearer`.

    PEM texts. Either `seal_request` asks for a seal certificate, or `seal_certificates` brings an own one (leaf first).
    """

    tls_request: str
    seal_request: str | None = None
    seal_certificates: str | None = None


class EnrolmentAnswer(Wire):
    connection: str
    name: str
    codes: tuple[str, ...]
    tls_certificates: str
    seal_certificates: str
    hub: HubIdentity


class UploadNeeded(Wire):
    """An attachment that a submission still lacks: where to send it, and from which byte on."""

    digest: str
    size: int
    offset: int
    location: str


class Acknowledgement(Wire):
    """A SubmissionAcceptance and its proof."""

    receipt: bytes
    proof: bytes


class SubmissionState(StrEnum):
    ACCEPTED = "accepted"
    INCOMPLETE = "incomplete"


class SubmissionAnswer(Wire):
    """`POST /v1/envelopes`: accepted (201, or 200 for a repeat) with the acknowledgement, or incomplete (202).

    An incomplete submission says what to upload and is posted again once its uploads are complete. `left_out` are
    the codes below a selector that were not active.
    """

    state: SubmissionState
    message_id: str
    epoch: Token
    acknowledgement: Acknowledgement | None = None
    uploads: tuple[UploadNeeded, ...] = ()
    left_out: tuple[str, ...] = ()


class SubmissionResult(Wire):
    """What became of one submission among several: its answer, or the problem that it would have had by itself.

    The answer leaves its acknowledgement to `acknowledgement`; `retry_after` is what the header of that name would say.
    """

    answer: SubmissionAnswer | None = None
    acknowledgement: ReceiptRef | None = None
    problem: Problem | None = None
    retry_after: float | None = None


class SubmissionsAnswer(Wire):
    """`POST /v1/envelopes` with several submissions (200): one result for each, in the order of the request."""

    results: tuple[SubmissionResult, ...]
    proofs: dict[Token, bytes] = Field(default_factory=dict)


class EnvelopeEntry(Wire):
    """A sealed envelope for codes that the connection serves. `attachments` holds those short enough to come along.

    To a node that was put back to a backup it brings as `receipts` what those codes had attested of the message.
    """

    kind: Literal["envelope"] = "envelope"
    entry: int
    lease: Token
    leased_until: datetime
    message_id: str
    recipients: tuple[str, ...]
    accepted_at: datetime
    acceptance: ReceiptRef
    envelope: bytes
    attachments: dict[str, bytes] = Field(default_factory=dict)
    receipts: tuple[ReceiptRef, ...] = ()


class ReceiptEntry(Wire):
    """A receipt about a message that the connection sent."""

    kind: Literal["receipt"] = "receipt"
    entry: int
    lease: Token
    leased_until: datetime
    receipt: ReceiptRef


class MailboxAnswer(Wire):
    """`GET /v1/mailbox`: leased entries, most urgent first; none when the wait ended without any.

    `reported` is the highest mark that the connection has reported, `newest_sent` the message that it submitted last: a
    node that knows less was put back to a backup.
    """

    epoch: Token
    hub_time: datetime
    directory_version: int
    reported: int = 0
    newest_sent: str | None = None
    entries: tuple[Annotated[EnvelopeEntry | ReceiptEntry, Field(discriminator="kind")], ...] = ()
    proofs: dict[Token, bytes] = Field(default_factory=dict)


class OutcomeKind(StrEnum):
    """What became of a leased entry at the recipient's node.

    `consigned` and `refused` bring a receipt for each recipient code; `released` hands the entry back for later;
    `received` ends a receipt entry.
    """

    CONSIGNED = "consigned"
    REFUSED = "refused"
    RELEASED = "released"
    RECEIVED = "received"


class Outcome(Wire):
    entry: Annotated[int, Field(ge=1, le=2**63 - 1)]
    lease: Token | None = None
    outcome: OutcomeKind
    receipts: tuple[ReceiptRef, ...] = ()
    retry_after: float | None = None
    reason: ReasonText | None = None


class OutcomesRequest(Wire):
    """`POST /v1/receipts`: outcomes of leased entries, and receipts (handovers) of messages consigned before.

    `mark` is how far the node has counted what it took out of its mailbox; `epoch` that of the hub in which the entries
    were leased.
    """

    outcomes: tuple[Outcome, ...] = ()
    receipts: tuple[ReceiptRef, ...] = ()
    mark: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    epoch: Token | None = None
    proofs: dict[Token, bytes] = Field(default_factory=dict)


class OutcomeResult(StrEnum):
    """`recorded`; `repeated` (it was recorded before); `stale` (the lease is no longer this one); `unknown` (no such
    entry here); `refused` (the receipts do not hold: the problem says why)."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    STALE = "stale"
    UNKNOWN = "unknown"
    REFUSED = "refused"


class ItemResult(Wire):
    result: OutcomeResult
    code: str | None = None
    detail: str | None = None


class OutcomesAnswer(Wire):
    """One result for each outcome and each further receipt, in the order of the request."""

    outcomes: tuple[ItemResult, ...] = ()
    receipts: tuple[ItemResult, ...] = ()


class ReplaysRequest(Wire):
    """`POST /v1/mailbox/replays`: offer again what was closed under a later mark than `after`."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1)]


class ReplaysAnswer(Wire):
    """How many entries were opened again; `purged` are messages whose bytes the hub no longer has.

    While it is not `finished`, the same request goes on.
    """

    reopened: int
    purged: tuple[str, ...] = ()
    finished: bool


class SentAnswer(Wire):
    """`GET /v1/messages?since=&after=`: ids of messages that the connection submitted, in the order of acceptance.

    `next` is what to ask with as `after` for those that follow; None after the last.
    """

    messages: tuple[str, ...]
    next: int | None = None


class DirectoryAnswer(Wire):
    """`GET /v1/directory?since=N`: the signed versions after N in order (perhaps not all), and the newest number.

    `epoch` is that of the hub's store: only in a new one may it have another history than before.
    """

    latest: int
    epoch: Token | None = None
    versions: tuple[bytes, ...] = ()


class UnitForm(Wire):
    """`PUT /v1/agencies/{code}`: a unit below an agency of the connection.

    Mail and phone are for the hub's operator, who may have questions before approving.
    """

    name: Annotated[str, Field(min_length=1, max_length=500)]
    mail: Annotated[str, Field(max_length=254)] = ""
    phone: Annotated[str, Field(max_length=40)] = ""


class UnitState(StrEnum):
    """`done`: the directory says so; `awaiting-approval`: the hub's operator decides."""

    DONE = "done"
    AWAITING_APPROVAL = "awaiting-approval"


class UnitAnswer(Wire):
    """`PUT` (200, or 202 while it awaits approval) and `DELETE /v1/agencies/{code}`.

    `directory_version` is the version that tells of the change; None while it waits, or if it stood so already.
    """

    code: str
    state: UnitState
    directory_version: int | None = None


class DeliveryTrace(Wire):
    """One delivery of a message as its hub sees it; a recipient sees only its own."""

    recipient: str
    state: str
    attempts: int
    updated_at: datetime
    last_error: str | None = None


class MessageTrace(Wire):
    """`GET /v1/messages/{id}`."""

    message_id: str
    sender: str
    kind: str
    document_id: str | None = None
    priority: int
    accepted_at: datetime
    expires_at: datetime | None = None
    deliveries: tuple[DeliveryTrace, ...]
    receipts: tuple[ReceiptRef, ...] = ()
    proofs: dict[Token, bytes] = Field(default_factory=dict)
