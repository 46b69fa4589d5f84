"""What a node does for an adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from adapters.sdk.sending import SentDocument, StatusReport, Submission, Submitted
from adapters.sdk.units import DeclaredUnit, UnitStanding
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

    def open_attachment(self, digest: Sha256Hex) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes of an attachment of a message that is here, as a stream of chunks."""
