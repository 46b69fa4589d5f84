"""Which messages a message speaks of, where edXML names documents only; and whom a status thereby goes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from node.store import directory as directory_store
from node.store import inbox, messages, outbox, requests
from node.store.metadata import Transaction
from node.store.outbox import Recipient
from node.store.states import OutboxState
from node.usecases.addressing import require_few
from node.usecases.transitions import require_transition, said_already
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.markup import nth
from schemas.message import BusinessType, Document, Message, StatusCode, StatusMessage
from schemas.status_order import ANSWERS


@dataclass(frozen=True, slots=True)
class _Named:
    """A DocumentId that a message speaks of, where it stands there, and the document's sender, if that is said."""

    document_id: str | None
    sender: AgencyCode | None
    element: str


def spoken_of(
    transaction: Transaction, message: Message, sender: AgencyCode, explicit: Sequence[Sha256Hex]
) -> tuple[Sha256Hex, ...]:
    """The ids of the messages that `message` of `sender` (today's code) speaks of: those given, or those it names.

    A DocumentId means the newest document of that agency, sent or received here, that carries it. Only a document's
    sender recalls, updates, replaces it or takes it back, and only its recipients report on it.

    Raises Rejected: `document-unknown`, `about-missing`, `about-repeated`, `about-not-allowed`, `too-many-about`,
    `predecessor-refused`, `status-transition`, `reason-missing`.
    """
    found = _allowed(transaction, message, sender, explicit)
    if isinstance(message, StatusMessage):
        require_transition(transaction, message, found[0], sender)
    return found


def status_before(
    transaction: Transaction, message: StatusMessage, sender: AgencyCode, explicit: Sequence[Sha256Hex]
) -> Sha256Hex | None:
    """The message with which `sender` (today's code) has said this status already, of what `message` speaks of.

    Raises what `spoken_of` raises, but for what has to do with the order of statuses.
    """
    return said_already(transaction, message, _allowed(transaction, message, sender, explicit)[0], sender)


def _allowed(
    transaction: Transaction, message: Message, sender: AgencyCode, explicit: Sequence[Sha256Hex]
) -> tuple[Sha256Hex, ...]:
    """What `message` speaks of, if `sender` may speak of it: exactly one message, if it is a status."""
    found = tuple(dict.fromkeys(explicit or _resolved(transaction, message, sender)))
    require_few(found)
    if isinstance(message, StatusMessage) and message.status_code in ANSWERS and len(found) == 1:
        found = (request_meant(transaction, found[0], sender),)
    if isinstance(message, Document) and message.business_type is BusinessType.NEW:
        return found
    if not found:
        raise Rejected(
            "about-missing",
            "The message does not say which document it speaks of.",
            element=_element(message),
            mend="Name the document's DocumentId, or its message id.",
        )
    if isinstance(message, StatusMessage) and len(found) > 1:
        raise Rejected(
            "about-repeated", "A status speaks of one message.", mend="Send a status for each of the messages."
        )
    for message_id in found:
        _require_allowed(transaction, message, sender, message_id)
    return found


def request_meant(transaction: Transaction, message_id: Sha256Hex, code: AgencyCode) -> Sha256Hex:
    """What an answer, 15 or 16, of `code` is about: real writers name the document where they mean the recall of it."""
    if requests.is_request(transaction, message_id, code):
        return message_id
    return requests.newest_of(transaction, message_id, code) or message_id


def status_recipients(transaction: Transaction, status: StatusMessage, about: Sha256Hex) -> tuple[Recipient, ...]:
    """Whom a status about `about` reaches: its sender; or, when that one takes it back, its recipients."""
    if status.status_code is StatusCode.TAKEN_BACK:
        return outbox.recipients_of(transaction, about)
    sender = inbox.sender_of(transaction, about)
    if sender is None:
        return ()
    entry = directory_store.agency(transaction, sender)
    return (Recipient(code=sender, written=sender, name=entry.name if entry else None),)


def _resolved(transaction: Transaction, message: Message, sender: AgencyCode) -> Iterator[Sha256Hex]:
    for named in _named(message):
        if not named.document_id:
            continue
        found = (
            messages.newest_sent(transaction, sender, named.document_id)
            if _is_the_senders(message)
            else messages.newest_received(
                transaction, sender, named.document_id, senders=_codes_of(transaction, named.sender)
            )
        )
        if found is None:
            way = "sent by" if _is_the_senders(message) else "received for"
            raise Rejected(
                "document-unknown",
                f"No document {named.document_id!r} is on record here as {way} {sender}.",
                element=named.element,
                mend="Check the DocumentId, or name the message by its id.",
            )
        yield found


def _named(message: Message) -> Iterator[_Named]:
    if isinstance(message, StatusMessage):
        named = message.response_for
        yield _Named(named.document_id, named.organ_id, "MessageHeader/ResponseFor/DocumentId")
        return
    business = message.business
    if business is None:
        return
    match business.type:
        case BusinessType.NEW:
            return
        case BusinessType.RECALL:
            for place, named in enumerate(message.response_for):
                yield _Named(named.document_id, named.organ_id, nth("MessageHeader/ResponseFor", place) + "/DocumentId")
        case BusinessType.UPDATE:
            yield _Named(business.document_id, None, "TraceHeaderList/Bussiness/DocumentId")
        case BusinessType.REPLACE:
            for place, replaced in enumerate(business.replacements or ()):
                element = nth("TraceHeaderList/Bussiness/ReplacementInfoList/ReplacementInfo", place)
                yield _Named(replaced.document_id, None, f"{element}/DocumentId")


def _element(message: Message) -> str | None:
    return next((named.element for named in _named(message)), None)


def _is_the_senders(message: Message) -> bool:
    """Whether it is for a document's sender to say this about the document."""
    return isinstance(message, Document) or message.status_code is StatusCode.TAKEN_BACK


def _codes_of(transaction: Transaction, code: AgencyCode | None) -> Sequence[AgencyCode]:
    """Today's code of an agency named by any of its codes; none if none is named."""
    if code is None:
        return ()
    entry = directory_store.agency(transaction, code)
    return (entry.code if entry else code,)


def _require_allowed(transaction: Transaction, message: Message, sender: AgencyCode, message_id: Sha256Hex) -> None:
    ours = outbox.standing_of(transaction, message_id)
    if _is_the_senders(message):
        allowed = ours is not None and ours.sender == sender
    else:
        allowed = sender in inbox.codes_known(transaction, message_id)
    if not allowed:
        known = ours is not None or bool(inbox.codes_known(transaction, message_id))
        raise Rejected(
            "about-not-allowed" if known else "document-unknown",
            f"{sender} may not say this about the message {message_id}."
            if known
            else f"No message {message_id} is on record here.",
            mend="Only a document's sender recalls, updates, replaces it or takes it back; only its recipients report.",
        )
    if ours is not None and _is_the_senders(message) and ours.state is OutboxState.REFUSED:
        raise Rejected(
            "predecessor-refused",
            f"The message {message_id} was refused, so nobody has it.",
            mend="Correct that message and send it anew.",
        )
