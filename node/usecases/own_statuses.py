"""Statuses that the node sends by itself: 01 when a document has arrived, 02 when the software refuses it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from certs.sealing import seal
from node.store.messages import RecordedMessage
from node.store.outbox import OutboxEntry, Recipient
from node.usecases.answers import status_about
from node.usecases.identity import OWN_ADAPTER, NodeIdentity
from node.usecases.submission_ids import submission_id_of
from schemas.codes import AgencyCode
from schemas.envelope import Envelope, Extension, Sha256Hex
from schemas.message import Document, StatusCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """A document that came from `sender` (today's code) for `receiver`, one of our agencies."""

    message_id: Sha256Hex
    document: Document
    sender: AgencyCode
    receiver: AgencyCode
    receiver_name: str | None
    lane: int


def own_status(
    occasion: Occasion, status: StatusCode, identity: NodeIdentity, *, at: datetime, description: str | None = None
) -> OutboxEntry:
    """The status, sealed, to be queued. Its key says what it is for: however often it is queued, it is sent once.

    Work for a thread: sealing takes a millisecond.
    """
    message = status_about(
        occasion.document,
        status,
        sender=occasion.receiver,
        sender_name=occasion.receiver_name,
        at=at,
        description=description,
    )
    key = f"{status}:{occasion.message_id}"
    submission_id = submission_id_of(OWN_ADAPTER, occasion.receiver, key)
    envelope = Envelope(message, Extension(submission_id=submission_id, about=(occasion.message_id,)))
    sealed = seal(envelope, identity.seal, at)
    return OutboxEntry(
        message=RecordedMessage(
            message_id=sealed.message_id,
            envelope=envelope,
            data=sealed.data,
            sender=occasion.receiver,
            lane=occasion.lane,
        ),
        adapter=OWN_ADAPTER,
        key=key,
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
        submission_id=submission_id,
        created_at=at,
        recipients=(
            Recipient(
                code=occasion.sender,
                written=occasion.document.sender.organ_id,
                name=occasion.document.sender.organ_name,
            ),
        ),
    )
