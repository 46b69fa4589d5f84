"""Who may speak about a message: its sender recalls, updates, replaces and takes back; its recipients report, and
answer a recall or an update by 15 or 16 about that very message.

A message that the connection neither sent nor received is answered exactly as one that does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hub.store import deliveries, mailboxes, messages
from hub.store.messages import KnownMessage, MessageKind
from hub.store.metadata import Transaction
from schemas.envelope import Envelope, Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.markup import nth
from schemas.message import BusinessType, Document, StatusCode
from schemas.status_order import ANSWERS

#: Messages that one message speaks of: each is looked up.
_MOST: Final = 100

#: What a recipient agrees to or not.
_REQUESTS: Final = frozenset({MessageKind.RECALL, MessageKind.UPDATE})


@dataclass(frozen=True, slots=True)
class Speaker:
    """The agency that seals, by its code of today, and the connection that submits for it."""

    code: str
    connection: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """What an agency is to a message; `seen` if another agency of its connection sent or received it."""

    sent: bool
    received: bool
    seen: bool


def spoken_of(transaction: Transaction, envelope: Envelope, speaker: Speaker) -> tuple[KnownMessage, ...]:
    """The messages that `envelope` speaks of, in its order.

    Raises:
        Rejected: `about-missing`, `about-repeated`, `about-unknown`, `about-not-allowed`.
        LimitExceeded: `too-many-about`.
    """
    about = envelope.extension.about
    _require_count(envelope, about)
    found = messages.known(transaction, about)
    return tuple(
        _allowed(transaction, envelope, speaker, found.get(message_id), nth("Extension/About", place))
        for place, message_id in enumerate(about)
    )


def _require_count(envelope: Envelope, about: Sequence[Sha256Hex]) -> None:
    if len(about) > _MOST:
        raise LimitExceeded(
            "too-many-about",
            f"The message speaks of {len(about)} messages; {_MOST} are allowed.",
            element="Extension/About",
            mend="Send several messages.",
        )
    is_status = not isinstance(envelope.message, Document)
    if not about and _business_type(envelope) is not BusinessType.NEW:
        raise Rejected(
            "about-missing",
            "The message does not say which message it speaks of.",
            element="Extension",
            mend="Name the message id in Extension/About.",
        )
    if len(set(about)) < len(about) or (is_status and len(about) > 1):
        raise Rejected(
            "about-repeated",
            "A status speaks of one message, and a document names each message that it speaks of once.",
            element="Extension/About[2]",
            mend="Name the message once; send a status for each message.",
        )


def _business_type(envelope: Envelope) -> BusinessType | None:
    """What a document does to an earlier one; None for a status."""
    return envelope.message.business_type if isinstance(envelope.message, Document) else None


def _allowed(
    transaction: Transaction, envelope: Envelope, speaker: Speaker, known: KnownMessage | None, element: str
) -> KnownMessage:
    standing = _standing(transaction, known, speaker) if known else _Standing(sent=False, received=False, seen=False)
    if known is None or not (standing.sent or standing.received or standing.seen):
        raise Rejected(
            "about-unknown",
            "The message spoken of is not known here.",
            element=element,
            mend="Check the message id.",
        )
    if _answers(envelope) and known.kind not in _REQUESTS:
        raise Rejected(
            "about-not-allowed",
            "Status 15 and 16 answer a recall or an update; the message spoken of is neither.",
            element=element,
            mend="Name the message id of the recall or the update.",
        )
    if known.kind is MessageKind.STATUS or not _may_speak(envelope, standing):
        raise Rejected(
            "about-not-allowed",
            f"{speaker.code} may not say this about the message.",
            element=element,
            mend="Only a document's sender recalls, updates, replaces it or takes it back; only its recipients report.",
        )
    return known


def _answers(envelope: Envelope) -> bool:
    return not isinstance(envelope.message, Document) and envelope.message.status_code in ANSWERS


def _standing(transaction: Transaction, known: KnownMessage, speaker: Speaker) -> _Standing:
    return _Standing(
        sent=known.sender == speaker.code,
        received=bool(deliveries.find(transaction, [(known.message, speaker.code)])),
        seen=known.connection == speaker.connection or mailboxes.holds(transaction, speaker.connection, known.message),
    )


def _may_speak(envelope: Envelope, standing: _Standing) -> bool:
    message = envelope.message
    if not isinstance(message, Document):
        return standing.sent if message.status_code is StatusCode.TAKEN_BACK else standing.received
    # A new document may name what it answers.
    return standing.sent or (message.business_type is BusinessType.NEW and standing.received)
