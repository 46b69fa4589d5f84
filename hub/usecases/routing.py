"""Where a message goes: explicit recipients, selectors, and for a status the hub's own record of what it speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from hub.store import agencies, fanouts, groups
from hub.store.agencies import ResolvedAgency
from hub.store.deliveries import Target
from hub.store.directory_view import DirectoryView
from hub.store.messages import KnownMessage, MessageKind
from hub.store.metadata import Transaction
from hub.usecases.about import Speaker, spoken_of
from hub.usecases.lanes import lane_of
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus, prefix_covers
from schemas.envelope import Envelope, Selector, SelectorKind
from schemas.errors import LimitExceeded, Rejected
from schemas.markup import nth
from schemas.message import BusinessType, Document, Organ, Priority, StatusCode, StatusMessage
from schemas.recipients import parse_recipient

_KINDS = {
    BusinessType.NEW: MessageKind.DOCUMENT,
    BusinessType.RECALL: MessageKind.RECALL,
    BusinessType.UPDATE: MessageKind.UPDATE,
    BusinessType.REPLACE: MessageKind.REPLACEMENT,
}


#: Selectors of one message: each is a question to the directory.
_MOST_SELECTORS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a message goes, each agency once, and how urgently; as the directory stood at `directory_version`.

    `left_out` are codes found but not active. `about` are the messages that it speaks of, `lifted` those of them that
    ride in its lane from now on, if their own is less urgent.
    """

    kind: MessageKind
    targets: tuple[Target, ...]
    left_out: tuple[str, ...]
    directory_version: int
    priority: Priority
    lane: int
    about: tuple[int, ...]
    lifted: tuple[int, ...]


def route(view: DirectoryView, envelope: Envelope, speaker: Speaker, *, recipients: int) -> Route:
    """Where `envelope`, sealed by `speaker`, goes: a document to `recipients` agencies at most.

    Raises:
        Rejected: `recipient-unknown`, `recipient-suspended`, `recipient-retired`, `group-unknown`, `no-recipient`,
            and those of `spoken_of`.
        LimitExceeded: `too-many-recipients`, `too-many-selectors`, and those of `spoken_of`.
    """
    about = spoken_of(view.transaction, envelope, speaker)
    match envelope.message:
        case Document() as document:
            found = _Recipients(speaker.code, recipients)
            _take_named(view, document.recipients, found)
            _take_selected(view, envelope.extension.selectors, found)
            kind, priority, lane = _KINDS[document.business_type], document.priority, lane_of(document.priority)
            lifted = tuple(known.message for known in about) if kind is not MessageKind.DOCUMENT else ()
        case StatusMessage() as status:
            # As many as the document went to, however the limit was set then.
            found = _Recipients(speaker.code, None)
            _take_recorded(view, status, about[0], found)
            kind, priority, lane, lifted = MessageKind.STATUS, Priority(about[0].priority), about[0].lane, ()
        case never:
            assert_never(never)
    return Route(
        kind=kind,
        targets=tuple(Target(connection, code) for code, connection in found.taken.items()),
        left_out=tuple(sorted(found.left_out)),
        directory_version=view.version,
        priority=priority,
        lane=lane,
        about=tuple(known.message for known in about),
        lifted=lifted,
    )


class _Recipients:
    """Recipients found so far: those taken, by their code of today, with the connection that serves each; and the codes
    left out for they are not active."""

    def __init__(self, sender: str, most: int | None) -> None:
        self.taken: dict[str, str] = {}
        self.left_out: set[str] = set()
        self._sender = sender
        self._most = most

    def take(self, code: str, connection: str, element: str) -> None:
        self.taken[code] = connection
        if self._most is not None and len(self.taken) > self._most:
            raise LimitExceeded(
                "too-many-recipients",
                f"The message goes to more than {self._most} agencies, which is all that this hub allows.",
                element=element,
                mend="Select fewer, or send it in parts.",
            )

    def offer(self, code: str, connection: str, element: str, *, is_active: bool) -> None:
        """Take an agency that nobody named: only if it is active, and not the one that sends."""
        if not is_active:
            self.left_out.add(code)
        elif code != self._sender:
            self.take(code, connection, element)


def _take_named(view: DirectoryView, organs: Sequence[Organ], found: _Recipients) -> None:
    resolved = view.resolve([organ.organ_id.value for organ in organs])
    for place, organ in enumerate(organs):
        element = nth("MessageHeader/To", place) + "/OrganId"
        agency = _active(organ.organ_id, resolved, element)
        found.take(agency.code, agency.connection, element)


def _active(code: AgencyCode, resolved: Mapping[str, ResolvedAgency], element: str) -> ResolvedAgency:
    agency = resolved.get(code.value)
    if agency is None:
        raise Rejected(
            "recipient-unknown",
            f"The directory does not know the recipient {code}.",
            element=element,
            mend="Check the code in the directory.",
        )
    match agency.reach:
        case EntryStatus.ACTIVE:
            return agency
        case EntryStatus.SUSPENDED:
            raise Rejected(
                "recipient-suspended",
                f"The recipient {code} is suspended.",
                element=element,
                mend="Send it without this recipient, or when the operator has resumed it.",
            )
        case EntryStatus.RETIRED:
            raise Rejected(
                "recipient-retired",
                f"The recipient {code} is retired.",
                element=element,
                mend="Send it to the agency that succeeded this one.",
            )


def _take_selected(view: DirectoryView, selectors: Sequence[Selector], found: _Recipients) -> None:
    if len(selectors) > _MOST_SELECTORS:
        raise LimitExceeded(
            "too-many-selectors",
            f"The message has {len(selectors)} selectors; {_MOST_SELECTORS} are allowed.",
            element=nth("Extension/Selector", _MOST_SELECTORS),
            mend="Select by shorter prefixes, or send it in parts.",
        )
    taken: list[str] = []
    for place, selector in enumerate(selectors):
        element = nth("Extension/Selector", place)
        if selector.kind is SelectorKind.GROUP:
            _take_group(view, selector.value, element, found)
            continue
        prefix = _prefix(view, selector.value)
        if not any(prefix_covers(above, AgencyCode(prefix)) for above in taken):
            taken.append(prefix)
            _take_below(view.transaction, prefix, element, found)
    if not found.taken:
        raise Rejected(
            "no-recipient",
            "No agency that the selectors find is active.",
            element="Extension/Selector",
            mend="Send it when the operator has resumed them.",
        )


def _prefix(view: DirectoryView, written: str) -> str:
    """An older code stands for its agency; what lies below that agency is said by the codes of today."""
    named = view.resolve([written]).get(written)
    return named.code if named else written


def _take_group(view: DirectoryView, name: str, element: str, found: _Recipients) -> None:
    """The members that the directory knows; one that it does not know yet, or no more, is nobody's fault here."""
    group = groups.find(view.transaction, name)
    if group is None:
        raise Rejected(
            "group-unknown",
            f"There is no group of recipients named {name!r}.",
            element=element,
            mend="Name the agencies, or select them by prefix.",
        )
    members = [parse_recipient(text) for text in group.members]
    named = view.resolve([each.value for each in members if isinstance(each, AgencyCode)])
    for agency in named.values():
        found.offer(agency.code, agency.connection, element, is_active=agency.reach is EntryStatus.ACTIVE)
    for member in members:
        if isinstance(member, Selector):
            for code, connection, is_active in agencies.below(view.transaction, _prefix(view, member.value)):
                found.offer(code, connection, element, is_active=is_active)


def _take_below(transaction: Transaction, prefix: str, element: str, found: _Recipients) -> None:
    is_known = False
    for code, connection, is_active in agencies.below(transaction, prefix):
        found.offer(code, connection, element, is_active=is_active)
        is_known = True
    if not is_known:
        raise Rejected(
            "no-recipient",
            f"The directory knows no agency at or below {prefix}.",
            element=element,
            mend="Check the prefix in the directory.",
        )


def _take_recorded(view: DirectoryView, status: StatusMessage, about: KnownMessage, found: _Recipients) -> None:
    """A status goes to the sender of what it speaks of; that the sender takes a document back, to its recipients."""
    taken_back = status.status_code is StatusCode.TAKEN_BACK
    codes = fanouts.recipients(view.transaction, about.message) if taken_back else [about.sender]
    for agency in view.resolve(codes).values():
        if agency.reach is EntryStatus.ACTIVE:
            found.take(agency.code, agency.connection, "Extension/About")
        else:
            found.left_out.add(agency.code)
    if not found.taken:
        raise Rejected(
            "recipient-suspended",
            "No agency that this status goes to is active.",
            element="Extension/About",
            mend="Send it when the operator has resumed the agency.",
        )
