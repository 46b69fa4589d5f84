"""The recipients of a document, as this node's copy of the directory knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from node.store.directory import Standing
from node.store.outbox import Recipient
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected
from schemas.markup import nth
from schemas.message import Document

#: What the directory says of a code.
AskStanding: TypeAlias = Callable[[AgencyCode], Standing | None]


def resolved_recipients(ask: AskStanding, document: Document) -> tuple[Recipient, ...]:
    """The agencies in To, each once, by their codes of today.

    Raises Rejected: `recipient-unknown`, `recipient-suspended`, `recipient-retired`.
    """
    found: dict[AgencyCode, Recipient] = {}
    for place, organ in enumerate(document.recipients):
        recipient = resolved(ask, organ.organ_id, nth("MessageHeader/To", place) + "/OrganId")
        found.setdefault(recipient.code, recipient)
    return tuple(found.values())


def resolved(ask: AskStanding, written: AgencyCode, element: str) -> Recipient:
    """The agency that `element` of a message names by any of its codes; raises as `resolved_recipients` does."""
    standing = ask(written)
    if standing is None:
        raise Rejected(
            "recipient-unknown",
            f"The directory does not know the recipient {written}.",
            element=element,
            mend="Check the code in the directory.",
        )
    match standing.status:
        case EntryStatus.ACTIVE:
            return Recipient(code=standing.agency.code, written=written, name=standing.agency.name)
        case EntryStatus.SUSPENDED:
            raise Rejected(
                "recipient-suspended",
                f"The recipient {written} is suspended.",
                element=element,
                mend="Send it without this recipient, or when the operator has resumed it.",
            )
        case EntryStatus.RETIRED:
            raise Rejected(
                "recipient-retired",
                f"The recipient {written} is retired.",
                element=element,
                mend="Send it to the agency that succeeded this one.",
            )
