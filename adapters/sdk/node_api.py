"""What a node does for an adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from adapters.sdk.deliveries import Delivery, DeliveryKey, Settlement
from adapters.sdk.events import NodeEvent
from adapters.sdk.sending import RecallOrder, SentDocument, StatusReport, Submission, Submitted, UpdateOrder
from adapters.sdk.units import DeclaredUnit, UnitStanding
from adapters.sdk.waiting import Lock, MessageKind, Waiting
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Sha256Hex


class NodeApi(Protocol):
    """The node as one adapter sees it: what it submits, what awaits it and its locks are its own."""

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        """The agencies that this node serves."""

    async def submit(self, submission: Submission) -> Submitted:
        """Seal and queue a message. Raises `Rejected` (never again) or `Unavailable` (later)."""

    async def report(self, report: StatusReport) -> Submitted:
        """Queue a status about a document that was received here.

        Raises Rejected: `delivery-unknown`, `not-a-document`, `payload-purged`, `reason-missing`, `status-transition`,
        `key-conflict`, and what `submit` raises.
        """

    async def recall(self, order: RecallOrder) -> Submitted:
        """Ask for a document of ours to be given back; the node composes the recall from the document itself.

        Raises Rejected: `not-sent-here`, `reason-missing`, `recipient-missing`, `receiver-unknown`, `already-recalled`,
        `never-arrived`, `payload-purged`, and what `submit` raises.
        """

    async def update(self, order: UpdateOrder) -> Submitted:
        """Tell those who have a document of ours what it says now, and bring it to, or recall it from, receivers.

        Raises Rejected: `not-sent-here`, `reason-missing`, `nothing-to-update`, `already-recalled`, `never-arrived`,
        `receiver-present`, `receiver-unknown`, `metadata-…`, `payload-purged`, and what `submit` raises.
        """

    async def sent(
        self,
        *,
        senders: Collection[AgencyCode] = (),
        document_id: str | None = None,
        message_id: Sha256Hex | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[SentDocument]:
        """Documents that this node sent, whoever submitted them, the newest first, each with its first recipients.

        Only those of `senders`, with that DocumentId, with that id, if given. Raises Rejected: `cursor-malformed`.
        """

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        """The directory's entry for a code, new or old."""

    async def agencies(
        self, query: str = "", *, under: AgencyCode | None = None, after: str = "", limit: int = 100
    ) -> Sequence[AgencyEntry]:
        """Agencies that are not retired, by code.

        Only those at or below `under`, and whose codes begin with `query` or whose names hold all its words (letters
        with and without marks are the same). `after`, the last code seen, goes on behind it.
        """

    async def declare(self, unit: DeclaredUnit) -> UnitStanding:
        """Declare a unit below an agency of this node, or give it another name; the same again changes nothing.

        What is done stands in the directory when this returns. Raises Rejected: `units-not-allowed` (this hub's
        operator does it), `unit-not-below`, `unit-refused` (with the operator's reason), `units-too-many`,
        `code-taken`, `agency-retired`, `name-malformed`; Unavailable.
        """

    async def retire(self, code: AgencyCode) -> UnitStanding:
        """Retire such a unit, for good; the same again changes nothing. Raises as `declare`, and `unit-unknown`."""

    async def waiting(
        self,
        *,
        recipients: Collection[AgencyCode] = (),
        kind: MessageKind | None = None,
        parked: bool = False,
        unlocked: bool = False,
        after: str = "",
        limit: int = 100,
    ) -> Sequence[Waiting]:
        """What awaits this adapter's software (it answered `Awaiting`): the most urgent first, and each after what it
        speaks of.

        Only for `recipients`, of one `kind`, if given; `parked` ones as well; only `unlocked` ones. Raises Rejected:
        `cursor-malformed`.
        """

    async def count_waiting(self, *, recipients: Collection[AgencyCode] = (), kind: MessageKind | None = None) -> int:
        """How many messages `waiting` would list, parked ones not among them."""

    async def lock(self, keys: Sequence[DeliveryKey], *, seconds: float, renew: str | None = None) -> Lock:
        """Keep waiting messages from others for a time (12 hours at most): those of `keys` that nobody else has locked.

        `renew` is the token of a lock that is to last longer. A lock keeps nobody from listing and reading.
        """

    async def unlock(self, keys: Sequence[DeliveryKey], *, lock: str) -> None:
        """Let go of those of `keys` that were locked with the token `lock`."""

    async def delivery(self, key: DeliveryKey) -> Delivery | None:
        """A message offered to this adapter's software, whole; a settled one, too, while its bytes are kept."""

    async def settle(self, key: DeliveryKey, outcome: Settlement, *, lock: str | None = None) -> None:
        """Say what became of a waiting message; durable when this returns.

        `Accepted` hands it over, `Refused` tells the sender (status 02), `Never` parks it. The same outcome again
        changes nothing; a parked one may still be accepted or refused. `lock` is the token of the lock, if it is
        locked. Raises Rejected: `delivery-unknown`, `delivery-settled`, `delivery-locked`; and Unavailable.
        """

    async def events(self, *, after: int = 0, limit: int = 100, wait_seconds: float = 0.0) -> Sequence[NodeEvent]:
        """What happened to this node's messages, whichever adapter's they are: what comes after the number `after`.

        The newest 100,000 events are kept. Numbers have no gaps: if the first is not `after` + 1, what lay between is
        not kept any more. Waits for a first one for up to `wait_seconds` (300 at most).
        """

    async def last_event(self) -> int:
        """The number of the newest event, for who wants to know only what comes; 0 before the first."""

    def open_attachment(
        self, digest: Sha256Hex, *, start: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes of an attachment of a message that is here, from `start` on, as a stream of chunks."""
