"""What one submission becomes: mostly one message; for recalls, updates and replacements sometimes several.

A receiver knows a document under the message that brought it: the document itself, or a copy, sent when the receiver
was added. Whatever is said of the document must name that message to each of them. An update of the receivers brings
the document to those added, in an envelope of its own, and takes it back from those removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.sdk import Submission
from node.store import companions
from node.store import directory as directory_store
from node.store import messages as message_store
from node.store.metadata import Transaction
from node.store.outbox import Recipient
from node.store.states import CompanionRole, DeliveryState
from node.usecases.about import spoken_of, status_recipients
from node.usecases.content import as_document, changes_content, current_content, recall_of
from node.usecases.identity import OWN_ADAPTER
from node.usecases.lanes import LANES, lane_of
from node.usecases.recipients import AskStanding, resolved, resolved_recipients
from node.usecases.selection import selected_recipients
from node.usecases.submission_ids import submission_id_of
from schemas.codes import AgencyCode
from schemas.envelope import AttachmentSize, Selector, Sha256Hex
from schemas.errors import Rejected
from schemas.markup import nth
from schemas.message import BusinessType, Document, Message, Organ, ReceiverType

_RECEIVERS = "TraceHeaderList/Bussiness/BussinessDocumentInfo/ReceiverList/Receiver"


@dataclass(frozen=True, slots=True)
class Reused:
    """Attachments that are here already: those in the message's manifest, with their sizes, which `source` brought."""

    sizes: tuple[AttachmentSize, ...]
    source: Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A message to seal. The first part of a submission leads; the others say by `role` why they go along.

    `reused` are attachments other than those submitted; `document` is what a copy copies.
    """

    adapter: str
    key: str
    submission_id: str
    message: Message
    about: tuple[Sha256Hex, ...]
    recipients: tuple[Recipient, ...]
    lane: int
    role: CompanionRole
    document: Sha256Hex | None = None
    reused: Reused | None = None
    selectors: tuple[Selector, ...] = ()


def parts_of(
    transaction: Transaction, adapter: str, submission: Submission, sender: AgencyCode, *, ask: AskStanding, most: int
) -> tuple[Part, ...]:
    """The parts of a submission of `sender` (today's code), as the record and the directory, by `ask`, stand now.

    There is one at least. A new document goes to `most` agencies at most. Raises Rejected: what `spoken_of`,
    `resolved_recipients` and `selected_recipients` raise; `receiver-present`, `receiver-unknown`, `receivers-unclear`,
    `payload-purged`.
    """
    message = submission.message
    about = spoken_of(transaction, message, sender, submission.about)
    maker = _Maker(adapter, submission.key, sender)
    if not isinstance(message, Document):
        lane = message_store.lane_of(transaction, about)
        recipients = status_recipients(transaction, message, about[0])
        return (maker.part(message, about, recipients, lane=LANES - 1 if lane is None else lane),)
    if message.business_type is BusinessType.NEW:
        recipients = resolved_recipients(ask, message)
        selectors = tuple(submission.selectors)
        if selectors:
            recipients = selected_recipients(transaction, selectors, sender=sender, besides=recipients, most=most)
        return (replace(maker.part(message, about, recipients), selectors=selectors),)
    if _changes_receivers(message):
        _update_receivers(transaction, maker, message, about, ask=ask, brings_files=bool(submission.attachments))
    else:
        _say(transaction, maker, message, about, resolved_recipients(ask, message))
    return tuple(maker.parts)


class _Maker:
    """Makes parts, the first under the caller's key, the others under keys of the node's own."""

    def __init__(self, adapter: str, key: str, sender: AgencyCode) -> None:
        self._adapter, self._key, self._sender = adapter, key, sender
        self.parts: list[Part] = []

    def next_key(self) -> tuple[str, str]:
        if not self.parts:
            return self._adapter, self._key
        return OWN_ADAPTER, f"{self._adapter}:{self._key}#{len(self.parts)}"

    def next_id(self) -> str:
        """The submission id of the next part; also a DocumentId for what has no number of its own."""
        adapter, key = self.next_key()
        return submission_id_of(adapter, self._sender, key)

    def part(
        self,
        message: Message,
        about: Sequence[Sha256Hex],
        recipients: Sequence[Recipient],
        *,
        lane: int | None = None,
        role: CompanionRole = CompanionRole.PART,
        document: Sha256Hex | None = None,
        reused: Reused | None = None,
    ) -> Part:
        adapter, key = self.next_key()
        part = Part(
            adapter=adapter,
            key=key,
            submission_id=self.next_id(),
            message=message,
            about=tuple(about),
            recipients=tuple(recipients),
            lane=lane_of(message.priority) if lane is None and isinstance(message, Document) else lane or 0,
            role=role,
            document=document,
            reused=reused,
        )
        self.parts.append(part)
        return part


def _changes_receivers(message: Document) -> bool:
    info = message.business.document_info if message.business else None
    return message.business_type is BusinessType.UPDATE and info is not None and bool(info.receivers)


def _say(
    transaction: Transaction,
    maker: _Maker,
    message: Document,
    about: tuple[Sha256Hex, ...],
    recipients: Sequence[Recipient],
) -> None:
    """Say `message` to each recipient about the messages that brought the documents there, in as few parts as can be.

    Who has none of the documents gets a recall or an update as it was submitted. To such a one a replacement is a new
    document, unless all are such.
    """
    held = [
        {
            recipient.code: message_id
            for message_id, recipient in companions.holders(transaction, root, with_former=True)
        }
        for root in dict.fromkeys(companions.original_of(transaction, each) for each in about)
    ]
    groups: dict[tuple[Sha256Hex, ...], list[Recipient]] = {}
    for recipient in recipients:
        known = tuple(holding[recipient.code] for holding in held if recipient.code in holding)
        groups.setdefault(known, []).append(recipient)
    strangers = groups.pop((), [])
    if strangers and (not groups or message.business_type is not BusinessType.REPLACE):
        groups.setdefault(about, []).extend(strangers)
        strangers = []
    whole = len(groups) == 1 and not strangers
    for known, ones in groups.items():
        maker.part(message if whole else _addressed_to(message, ones), known, ones)
    if strangers:
        copy = as_document(_addressed_to(message, strangers), message)
        maker.part(copy, (), strangers, role=CompanionRole.COPY)


def _update_receivers(
    transaction: Transaction,
    maker: _Maker,
    message: Document,
    about: Sequence[Sha256Hex],
    *,
    ask: AskStanding,
    brings_files: bool,
) -> None:
    """An update to those who stay, the document to those added, a recall to those removed.

    Where nobody stays, the update itself has nobody to go to, and what it comes to stands for it.
    """
    if len(about) != 1 or message.business is None or message.business.document_info is None:
        raise Rejected(
            "receivers-unclear",
            "An update of receivers speaks of one document.",
            element="TraceHeaderList/Bussiness/DocumentId",
            mend="Send an update for each document.",
        )
    root = companions.original_of(transaction, about[0])
    current = {
        recipient.code: (message_id, recipient)
        for message_id, recipient in companions.holders(transaction, root, with_former=False)
    }
    added, removed = _receivers(transaction, ask, message, current, companions.never_got(transaction, root))
    touched = {recipient.code for recipient in added} | set(removed)
    staying = [one for one in resolved_recipients(ask, message) if one.code not in touched]
    if not staying:
        staying = [recipient for code, (_, recipient) in current.items() if code not in removed]
    if staying:
        _say(transaction, maker, _addressed_to(message, staying), (root,), staying)
    content = current_content(transaction, root)
    if added:
        changed = changes_content(message)
        copy = as_document(message, content.document) if changed else content.document
        reused = None
        if not (changed and brings_files):
            copy = replace(copy, references=content.document.references)
            reused = Reused(content.sizes, content.source)
        copy = _addressed_to(replace(copy, business=None, trace=()), added)
        maker.part(copy, (), added, role=CompanionRole.COPY, document=root, reused=reused)
    by_message: dict[Sha256Hex, list[Recipient]] = {}
    for code in removed:
        message_id, recipient = current[code]
        by_message.setdefault(message_id, []).append(recipient)
    for message_id, ones in by_message.items():
        recall = recall_of(content.document, document_id=maker.next_id(), reason=message.business.reason)
        maker.part(_addressed_to(recall, ones), (message_id,), ones, role=CompanionRole.RECALL, reused=Reused((), root))


def _receivers(
    transaction: Transaction,
    ask: AskStanding,
    message: Document,
    current: Mapping[AgencyCode, tuple[Sha256Hex, Recipient]],
    never_got: Mapping[AgencyCode, DeliveryState],
) -> tuple[tuple[Recipient, ...], tuple[AgencyCode, ...]]:
    """Those added, as the directory has them, and those removed, by their codes of today."""
    info = message.business.document_info if message.business else None
    added: dict[AgencyCode, Recipient] = {}
    removed: dict[AgencyCode, None] = {}
    for place, receiver in enumerate(info.receivers if info else ()):
        element = nth(_RECEIVERS, place) + "/OrganId"
        if receiver.receiver_type is ReceiverType.ADDED:
            recipient = resolved(ask, receiver.organ_id, element)
            if recipient.code in current:
                raise Rejected(
                    "receiver-present",
                    f"{receiver.organ_id} has the document already.",
                    element=element,
                    mend="Add only those that do not have it.",
                )
            added.setdefault(recipient.code, recipient)
            continue
        entry = directory_store.agency(transaction, receiver.organ_id)
        code = entry.code if entry else receiver.organ_id
        if code not in current:
            raise Rejected(
                "receiver-unknown",
                f"{receiver.organ_id} does not have the document"
                + (f": its delivery was {never_got[code]}." if code in never_got else "."),
                element=element,
                mend="Remove only those that have it; `congvan node show` lists them.",
            )
        removed[code] = None
    return tuple(added.values()), tuple(removed)


def _addressed_to(message: Document, recipients: Iterable[Recipient]) -> Document:
    """The message with these in To, as it names them itself where it does."""
    named = {organ.organ_id: organ for organ in message.recipients}
    to = tuple(named.get(one.written) or Organ(organ_id=one.written, organ_name=one.name) for one in recipients)
    return replace(message, recipients=to)
