"""Recalls, updates and replacements that a person orders: composed from the document itself, and submitted once."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Self

from adapters.composing import compose_document
from adapters.sdk import OutgoingAttachment, Submission, Submitted
from node.store import companions, outbox
from node.store import directory as directory_store
from node.store.metadata import Transaction
from node.store.outbox import Recipient
from node.store.states import DeliveryState
from node.usecases.content import current_content, metadata_of, recall_of
from node.usecases.directory import DirectoryCopy
from node.usecases.identity import COMMAND_ADAPTER
from node.usecases.naming import message_named
from node.usecases.submit import Submitter
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Override, Sha256Hex
from schemas.errors import Rejected
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    BusinessType,
    Document,
    Organ,
    Receiver,
    ReceiverType,
    ReplacementInfo,
)
from schemas.peer_limits import beyond_peer_limits

#: What the command says itself, so that metadata does not.
_NOT_METADATA: Final = ("business", "from", "to")


@dataclass(frozen=True, slots=True)
class Sent:
    """A document of ours: what it says now, and who has it, by code; `asked` were to give it back; `never_got` it:
    those whose delivery ended before it arrived, with how."""

    message_id: Sha256Hex
    sender: AgencyCode
    document: Document
    holders: Mapping[AgencyCode, Recipient]
    asked: frozenset[AgencyCode]
    never_got: Mapping[AgencyCode, DeliveryState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a successor says otherwise: keys of document metadata, and files in the place of those there were.

    `key` is the caller's own, with the SHA-256 of what was ordered; without a key each call is an order of its own.
    """

    reason: str
    metadata: Mapping[str, object] = field(default_factory=dict)
    attachments: Sequence[OutgoingAttachment] = ()
    key: str | None = None
    fingerprint: Sha256Hex | None = None
    override: Override | None = None


class Amendments:
    """Recalls, updates and replaces documents of ours under the name of `adapter`, else `command`. Needs no hub."""

    def __init__(
        self,
        database: Database,
        submitter: Submitter,
        directory: DirectoryCopy,
        clock: Clock,
        *,
        adapter: str = COMMAND_ADAPTER,
    ) -> None:
        self._database = database
        self._submitter = submitter
        self._directory = directory
        self._clock = clock
        self._adapter = adapter

    def of(self, adapter: str) -> Self:
        """The same, ordered by software behind `adapter`: keys are its own."""
        return type(self)(self._database, self._submitter, self._directory, self._clock, adapter=adapter)

    async def recall(self, name: str, change: Change, *, to: Sequence[AgencyCode] | None = None) -> Submitted:
        """Ask `to`, or all who have it (None), to give a document back; they answer with status 15 or 16.

        `name` is a message id, a unique beginning of one, or a DocumentId. Raises Rejected: `not-sent-here`,
        `recipient-missing`, `receiver-unknown`, `already-recalled`, `never-arrived`, `payload-purged`, and what
        `message_named` and `submit` raise.
        """
        _require_some(to)

        async def compose(sent: Sequence[Sent]) -> Document:
            recipients = await self._chosen(sent[0], to)
            if not recipients:
                raise _nobody(sent[0])
            document_id = str(uuid.uuid4())
            return _to(recall_of(sent[0].document, document_id=document_id, reason=change.reason), recipients)

        return await self._ordered([name], change, [code.value for code in to or ()], compose)

    async def update(
        self, name: str, change: Change, *, add: Sequence[AgencyCode] = (), remove: Sequence[AgencyCode] = ()
    ) -> Submitted:
        """Tell those who have a document what it says now; bring it to `add`, and recall it from `remove`.

        Raises Rejected: `nothing-to-update`, `not-sent-here`, `already-recalled`, `never-arrived`, `receiver-present`,
        `receiver-unknown`, `metadata-…`, `payload-purged`, and what `message_named` and `submit` raise.
        """
        changes_document = bool(change.metadata or change.attachments)
        if not (changes_document or add or remove):
            raise Rejected(
                "nothing-to-update",
                "The update changes neither the document nor its receivers.",
                mend="Give --file or --meta for the document, --add or --remove for its receivers.",
            )

        async def compose(sent: Sequence[Sent]) -> Document:
            (one,) = sent
            if not (one.holders or add or remove):
                raise _nobody(one)
            document_id = {"document_id": str(uuid.uuid4())}
            document = await self._composed(one.document, change, document_id)
            receivers = [Receiver(organ_id=code, receiver_type=ReceiverType.REMOVED) for code in remove]
            receivers += [Receiver(organ_id=code, receiver_type=ReceiverType.ADDED) for code in add]
            business = Business(
                type=BusinessType.UPDATE,
                document_id=one.document.document_id,
                reason=change.reason,
                paper=False,
                document_info=BusinessDocumentInfo(
                    document_info=changes_document, document_receiver=bool(receivers), receivers=tuple(receivers)
                ),
            )
            return _to(replace(document, business=business), one.holders.values())

        receivers = [[code.value for code in codes] for codes in (add, remove)]
        return await self._ordered([name], change, receivers, compose)

    async def replace(
        self, names: Sequence[str], change: Change, *, to: Sequence[AgencyCode] | None = None
    ) -> Submitted:
        """Send a document in the place of others, to `to` or to all who have one of those (None).

        What `change` does not say, it takes from the first of them. To whoever had none of them it is a new document.
        Raises Rejected: `not-sent-here`, `recipient-missing`, `sender-differs`, `metadata-…`, `payload-purged`, and
        what `message_named` and `submit` raise.
        """
        _require_some(to)

        async def compose(sent: Sequence[Sent]) -> Document:
            if len({one.sender for one in sent}) > 1:
                raise Rejected(
                    "sender-differs",
                    "The documents are from different agencies of this node.",
                    mend="Replace those of each agency by themselves.",
                )
            # With a number of its own it has a DocumentId made of that; else one that nothing else has.
            own = {} if "code" in change.metadata else {"document_id": str(uuid.uuid4())}
            document = await self._composed(sent[0].document, change, own, fresh=("date",))
            replaced = tuple(
                ReplacementInfo(document_id=one.document.document_id, organ_ids=tuple(one.holders)) for one in sent
            )
            business = Business(type=BusinessType.REPLACE, reason=change.reason, paper=False, replacements=replaced)
            document = replace(document, business=business)
            if to:
                return replace(document, recipients=tuple([await self._organ(code) for code in to]))
            return _to(document, {code: held for one in sent for code, held in one.holders.items()}.values())

        return await self._ordered(names, change, [code.value for code in to or ()], compose)

    async def _ordered(
        self,
        names: Sequence[str],
        change: Change,
        said: object,
        compose: Callable[[Sequence[Sent]], Awaitable[Document]],
    ) -> Submitted:
        if not change.reason.strip():
            raise Rejected("reason-missing", "No reason is given.", mend="Say why: the recipients read it.")
        sent = await self._database.read(partial(_sent, names=names))
        key = change.key or str(uuid.uuid4())
        ids = [one.message_id for one in sent]
        everything = json.dumps([ids, change.reason, said, change.fingerprint], ensure_ascii=False)
        fingerprint = hashlib.sha256(everything.encode()).hexdigest()
        known = await self._submitter.known(self._adapter, key, fingerprint, sent[0].sender)
        if known is not None:
            return known
        document = await compose(sent)
        long = beyond_peer_limits(document)
        if long:
            raise Rejected("text-beyond-peers", long[0].message, element=long[0].element, mend="Shorten the text.")
        return await self._submitter.submit(
            self._adapter,
            Submission(
                key=key,
                fingerprint=fingerprint,
                message=document,
                attachments=change.attachments,
                about=ids,
                override=change.override,
            ),
        )

    async def _composed(
        self, original: Document, change: Change, own: Mapping[str, object], *, fresh: Sequence[str] = ()
    ) -> Document:
        """The document with what `change` says otherwise; `fresh` keys are not taken over."""
        unused = [name for name in _NOT_METADATA if name in change.metadata]
        if unused:
            raise Rejected(
                "metadata-invalid",
                f"The metadata says {', '.join(unused)}, which the command says itself.",
                element=unused[0],
                mend="Leave it out of the metadata.",
            )
        kept = {name: value for name, value in metadata_of(original).items() if name not in fresh}
        # The recipients are set afterwards; metadata cannot be without.
        metadata = {**kept, **own, **change.metadata, "from": {"organ_id": original.sender.organ_id.value}}
        document = await compose_document(
            self._directory,
            metadata,
            (),
            now=self._clock(),
            sender=original.sender.organ_id,
            recipients=[organ.organ_id for organ in original.recipients],
        )
        return replace(document, sender=original.sender, trace=())

    async def _chosen(self, sent: Sent, to: Sequence[AgencyCode] | None) -> list[Recipient]:
        """Those of the holders that are meant: all, if it is not said (None)."""
        if to is None:
            return list(sent.holders.values())
        chosen = []
        for code in to:
            entry = await self._directory.agency(code)
            today = entry.code if entry else code
            if today not in sent.holders:
                raise Rejected(
                    "receiver-unknown",
                    _lacking(code, today, sent),
                    mend=f"See who has it: congvan node show {sent.message_id[:12]}",
                )
            chosen.append(sent.holders[today])
        return chosen

    async def _organ(self, code: AgencyCode) -> Organ:
        entry = await self._directory.agency(code)
        return Organ(organ_id=code, organ_name=entry.name if entry else None)


def _require_some(to: Sequence[AgencyCode] | None) -> None:
    """Nobody is never everybody."""
    if to is not None and not to:
        raise Rejected(
            "recipient-missing", "The order names no recipient.", element="to", mend="Name them, or leave them out."
        )


def _sent(transaction: Transaction, names: Sequence[str]) -> list[Sent]:
    found: dict[Sha256Hex, Sent] = {}
    for name in names:
        message_id = companions.original_of(transaction, message_named(transaction, name))
        ours = outbox.standing_of(transaction, message_id)
        if ours is None:
            raise Rejected(
                "not-sent-here",
                f"The message {message_id} was not sent from here.",
                mend="Only a document's sender recalls, updates or replaces it.",
            )
        entry = directory_store.agency(transaction, ours.sender)
        holders = companions.holders(transaction, message_id, with_former=False)
        ever = companions.holders(transaction, message_id, with_former=True)
        codes = {recipient.code for _, recipient in holders}
        found[message_id] = Sent(
            message_id,
            entry.code if entry else ours.sender,
            current_content(transaction, message_id).document,
            {recipient.code: recipient for _, recipient in holders},
            frozenset(recipient.code for _, recipient in ever if recipient.code not in codes),
            companions.never_got(transaction, message_id),
        )
    return list(found.values())


def _nobody(sent: Sent) -> Rejected:
    """There is none left to ask or tell."""
    ends = "; ".join(f"{code} {delivery}" for code, delivery in sent.never_got.items())
    return Rejected(
        "already-recalled" if sent.asked else "never-arrived",
        "All who have the document were asked to give it back already."
        if sent.asked
        else f"Nobody has the document: {ends}.",
        mend=f"See where it stands: congvan node show {sent.message_id[:12]}",
    )


def _lacking(code: AgencyCode, today: AgencyCode, sent: Sent) -> str:
    """Why the agency written `code` cannot give the document back."""
    if today in sent.asked:
        return f"{code} was asked to give the document back already."
    if today in sent.never_got:
        return f"{code} never got the document: its delivery was {sent.never_got[today]}."
    return f"{code} is no recipient of the document."


def _to(document: Document, recipients: Iterable[Recipient]) -> Document:
    organs = tuple(Organ(organ_id=one.written, organ_name=one.name) for one in recipients)
    return replace(document, recipients=organs)
