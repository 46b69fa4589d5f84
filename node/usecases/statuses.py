"""Answers about a received document: accepted, assigned, finished, refused, …"""

from __future__ import annotations

from adapters.sdk import Submitted
from node.usecases.submit import Submitter
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.message import StaffInfo, StatusCode


class Responder:
    def __init__(self, database: Database, submitter: Submitter, clock: Clock) -> None: ...

    async def respond(
        self,
        document: str,
        status: StatusCode,
        *,
        description: str | None = None,
        staff: StaffInfo | None = None,
        from_code: AgencyCode | None = None,
    ) -> Submitted:
        """Send a status about `document` (a message id, a unique beginning of one of at least 8 digits, or a DocumentId).

        Status 13 speaks of a document that this node sent, every other of one that it received. `from_code` is needed only
        where the document came for several agencies of this node. The same answer given twice is one message.

        Raises Rejected: `document-unknown`, `document-ambiguous`, `from-ambiguous`, `sender-not-served`.
        """
        raise NotImplementedError
