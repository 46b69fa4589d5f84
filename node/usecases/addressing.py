"""May a message say what it says, and is it for us? Asked of every message that arrives, whatever the hub thought."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from node.store import directory as directory_store
from node.store import inbox, outbox, recipients, selection
from node.store.metadata import Transaction
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, prefix_covers
from schemas.envelope import Envelope, Selector, SelectorKind, Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.limits import Limits
from schemas.message import BusinessType, Document, StatusCode, StatusMessage

#: Messages that one may speak of: more than any list of replaced documents has, and few enough for one query.
_ABOUT_LIMIT: Final = 1000


def codes_of(entry: AgencyEntry) -> tuple[AgencyCode, ...]:
    """Every code by which an agency may be named."""
    return (entry.code, *entry.older_codes)


def require_few(about: Collection[Sha256Hex]) -> None:
    """Pass if a message speaks of no more others than can be looked up together; else `too-many-about`."""
    if len(about) > _ABOUT_LIMIT:
        raise LimitExceeded(
            "too-many-about",
            f"The message speaks of {len(about)} others; {_ABOUT_LIMIT} are allowed.",
            element="Extension/About",
            mend="Send several documents.",
        )


def require_admissible(envelope: Envelope, limits: Limits) -> None:
    """Pass if a message of this content may enter at all.

    Raises Rejected: `secrecy-forbidden`, `too-many-about`, `attachment-too-large`, `attachments-too-large`.
    """
    extension = envelope.extension
    if extension.secrecy is not None:
        raise Rejected(
            "secrecy-forbidden",
            "The document is marked as a state secret; none may enter.",
            element="Extension/Secrecy",
            mend="Send it by the way that the law prescribes for state secrets.",
        )
    require_few(extension.about)
    sizes = [attachment.size for attachment in extension.attachment_sizes]
    if max(sizes, default=0) > limits.attachment_bytes:
        raise LimitExceeded(
            "attachment-too-large",
            f"An attachment has {max(sizes)} bytes; this node takes {limits.attachment_bytes}.",
            element="Extension/AttachmentSize",
            mend="Split the attachment, or have the recipient raise its limit.",
        )
    if sum(sizes) > limits.message_attachment_bytes:
        raise LimitExceeded(
            "attachments-too-large",
            f"The attachments have {sum(sizes)} bytes together; this node takes {limits.message_attachment_bytes}.",
            element="Extension/AttachmentSize",
            mend="Send several documents.",
        )


def require_speaker(transaction: Transaction, envelope: Envelope, sender: AgencyEntry) -> None:
    """Pass if `sender` may say this of the messages that it speaks of. What is not on record here, the hub has judged.

    Raises Rejected: `about-missing`, `about-not-allowed`.
    """
    message, about = envelope.message, envelope.extension.about
    if isinstance(message, Document) and message.business_type is BusinessType.NEW:
        return
    if not about:
        raise Rejected(
            "about-missing", "The message does not say which message it speaks of.", element="Extension/About"
        )
    is_report = isinstance(message, StatusMessage) and message.status_code is not StatusCode.TAKEN_BACK
    for message_id in about:
        if is_report:
            ours = outbox.standing_of(transaction, message_id)
            allowed = ours is None or bool(recipients.recipient_among(transaction, message_id, codes_of(sender)))
        else:
            author = inbox.sender_of(transaction, message_id)
            allowed = author is None or author in codes_of(sender)
        if not allowed:
            raise Rejected(
                "about-not-allowed",
                f"{sender.code} may not say this about the message {message_id}.",
                element="Extension/About",
                mend="Only a document's sender recalls, updates or replaces it; only its recipients report on it.",
            )


def addressed(
    transaction: Transaction, envelope: Envelope, receivers: Iterable[AgencyEntry], version: int
) -> list[AgencyEntry]:
    """Those of `receivers` that the message, by its own signed words, is for: a hub never widens what was signed.

    Raises Rejected: `not-addressed-here` if it is for none of them.
    """
    message = envelope.message
    found = [
        receiver
        for receiver in receivers
        if (
            _is_recipient(transaction, message, envelope.extension.selectors, receiver, version)
            if isinstance(message, Document)
            else _is_for(transaction, message, envelope.extension.about, receiver)
        )
    ]
    if not found:
        raise Rejected(
            "not-addressed-here",
            "The message is addressed to no agency that it was handed out for.",
            element="MessageHeader/To" if isinstance(message, Document) else "Extension/About",
        )
    return found


def _is_recipient(
    transaction: Transaction,
    document: Document,
    selectors: Collection[Selector],
    receiver: AgencyEntry,
    version: int,
) -> bool:
    own = codes_of(receiver)
    if any(organ.organ_id in own for organ in document.recipients):
        return True
    return any(_selects(transaction, selector, receiver, version) for selector in selectors)


def _selects(transaction: Transaction, selector: Selector, receiver: AgencyEntry, version: int) -> bool:
    if selector.kind is SelectorKind.GROUP:
        group = selection.group(transaction, selector.value, version)
        return group is not None and selection.is_member(transaction, group, receiver, version)
    named = directory_store.agency(transaction, AgencyCode(selector.value), version)
    return prefix_covers(named.code.value if named else selector.value, receiver.code)


def _is_for(
    transaction: Transaction, status: StatusMessage, about: Collection[Sha256Hex], receiver: AgencyEntry
) -> bool:
    """A status is for the sender of what it speaks of; that a document is taken back, for its recipients."""
    own = codes_of(receiver)
    if status.status_code is StatusCode.TAKEN_BACK:
        come = [inbox.codes_known(transaction, message_id) for message_id in about]
        return all(not codes or not codes.isdisjoint(own) for codes in come)
    for message_id in about:
        ours = outbox.standing_of(transaction, message_id)
        if ours is not None:
            return ours.sender in own
    # Sent from elsewhere, or before this record began: then the message itself says whose document it was.
    author = status.response_for.organ_id
    return author is None or author in own
