"""Answers about a document: accepted, assigned, finished, refused, …"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass

from adapters.sdk import StatusReport, Submission, Submitted
from node.store import directory as directory_store
from node.store import inbox, outbox
from node.store.metadata import Transaction
from node.store.states import OutboxState
from node.usecases.about import request_meant
from node.usecases.answers import status_about
from node.usecases.identity import OWN_ADAPTER
from node.usecases.naming import delivery_unknown, message_named
from node.usecases.retention import sealed_bytes
from node.usecases.submit import Submitter
from node.usecases.transitions import require_reason
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.instants import instant_text
from schemas.message import Document, StaffInfo, StatusCode
from schemas.status_order import ANSWERS
from schemas.travel import parse_envelope, read_envelope


@dataclass(frozen=True, slots=True)
class _Question:
    """A document that is answered, and by whom."""

    message_id: Sha256Hex
    sealed: bytes
    sender: AgencyCode
    sender_name: str | None


@dataclass(frozen=True, slots=True)
class Answered(Submitted):
    """`tries` counts the times that this answer was given in these words: all but the last were refused."""

    tries: int


class Responder:
    """Sends statuses that a person gives, under the adapter name `node`."""

    def __init__(self, database: Database, submitter: Submitter, clock: Clock) -> None:
        self._database = database
        self._submitter = submitter
        self._clock = clock

    async def respond(
        self,
        document: str,
        status: StatusCode,
        *,
        description: str | None = None,
        staff: StaffInfo | None = None,
        from_code: AgencyCode | None = None,
    ) -> Answered:
        """Send a status about `document`: a message id, a unique beginning of at least 8 digits, or a DocumentId.

        Status 13 speaks of a document that this node sent, every other of one that it received. `from_code` is needed
        only where the document came for several agencies of this node. The same answer given twice is one message,
        unless the first was refused: then it is another try.

        Raises Rejected: `message-unknown`, `message-ambiguous`, `not-a-document`, `from-ambiguous`,
        `from-not-recipient`, `payload-purged`, `reason-missing`, `status-transition`, and what `Submitter.submit`
        raises.
        """
        require_reason(status, description)
        question = await self._database.read(lambda transaction: _asked(transaction, document, status, from_code))
        message = await asyncio.to_thread(_document, question)
        answer = status_about(
            message,
            status,
            sender=question.sender,
            sender_name=question.sender_name,
            at=self._clock(),
            description=description,
            staff=staff,
        )
        said = json.dumps([status, answer.description, asdict(staff) if staff else None], ensure_ascii=False)
        fingerprint = hashlib.sha256(said.encode()).hexdigest()
        key = f"answer:{question.message_id}:{fingerprint}"
        tries = await self._database.read(lambda transaction: _tries(transaction, question.sender, key))
        submitted = await self._submitter.submit(
            OWN_ADAPTER,
            Submission(
                key=_key_of(key, tries),
                fingerprint=fingerprint,
                message=answer,
                about=(question.message_id,),
            ),
        )
        return Answered(submitted.message_id, submitted.repeated, tries)

    async def report(self, adapter: str, report: StatusReport) -> Submitted:
        """Send a status on behalf of `adapter`; see `adapters.sdk.NodeApi.report`."""
        require_reason(report.status, report.reason)
        question = await self._database.read(lambda transaction: _reported(transaction, report))
        answer = status_about(
            await asyncio.to_thread(_document, question),
            report.status,
            sender=question.sender,
            sender_name=question.sender_name,
            at=report.at or self._clock(),
            description=report.reason,
            staff=report.staff,
        )
        return await self._submitter.submit(
            adapter,
            Submission(
                key=report.key,
                fingerprint=_fingerprint(report),
                message=answer,
                about=(question.message_id,),
            ),
        )


def _fingerprint(report: StatusReport) -> Sha256Hex:
    said = [
        str(report.delivery),
        report.status,
        report.reason,
        asdict(report.staff) if report.staff else None,
        instant_text(report.at) if report.at else None,
    ]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()


def _reported(transaction: Transaction, report: StatusReport) -> _Question:
    """The document that is reported on, by whom; of an answer to a request, the request."""
    message_id, code = report.delivery.message_id, report.delivery.recipient
    entry = directory_store.agency(transaction, code)
    sender = entry.code if entry else code
    ours = outbox.standing_of(transaction, message_id) if report.status is StatusCode.TAKEN_BACK else None
    if ours is None and sender not in inbox.codes_known(transaction, message_id):
        raise delivery_unknown(report.delivery)
    if report.status in ANSWERS:
        message_id = request_meant(transaction, message_id, sender)
    return _Question(message_id, sealed_bytes(transaction, message_id), sender, entry.name if entry else None)


def _asked(transaction: Transaction, name: str, status: StatusCode, from_code: AgencyCode | None) -> _Question:
    message_id = message_named(transaction, name)
    if status is StatusCode.TAKEN_BACK:
        ours = outbox.standing_of(transaction, message_id)
        sender = _only({ours.sender} if ours else (), message_id, None)
    else:
        entry = directory_store.agency(transaction, from_code) if from_code else None
        sender = _only(inbox.codes_known(transaction, message_id), message_id, entry.code if entry else from_code)
        if status in ANSWERS:
            message_id = request_meant(transaction, message_id, sender)
    entry = directory_store.agency(transaction, sender)
    return _Question(message_id, sealed_bytes(transaction, message_id), sender, entry.name if entry else None)


def _tries(transaction: Transaction, sender: AgencyCode, key: str) -> int:
    """The number of the try that is not refused: that which is in the outbox, or the next."""
    tries = 1
    while (known := outbox.known_key(transaction, OWN_ADAPTER, sender, _key_of(key, tries))) is not None:
        standing = outbox.standing_of(transaction, known.message_id)
        if standing is None or standing.state is not OutboxState.REFUSED:
            break
        tries += 1
    return tries


def _key_of(key: str, tries: int) -> str:
    return key if tries == 1 else f"{key}:{tries}"


def _only(codes: Collection[AgencyCode], message_id: Sha256Hex, chosen: AgencyCode | None) -> AgencyCode:
    if chosen is not None and chosen in codes:
        return chosen
    if chosen is not None or not codes:
        raise Rejected(
            "from-not-recipient",
            f"The message {message_id} did not come for {chosen or 'an agency of this node'}.",
            mend="Status 13 speaks of a document that was sent from here, every other of one that was received here.",
        )
    if len(codes) > 1:
        names = ", ".join(sorted(code.value for code in codes))
        raise Rejected(
            "from-ambiguous", f"The message {message_id} came for {names}.", mend="Say for which of them to answer."
        )
    (code,) = codes
    return code


def _document(question: _Question) -> Document:
    message = read_envelope(parse_envelope(question.sealed)).message
    if not isinstance(message, Document):
        raise Rejected(
            "not-a-document",
            f"{question.message_id} is a status message; a status speaks of a document.",
            mend="Name the document.",
        )
    return message
