"""Recipients by rule: found from the node's copy of the directory, and found again when the hub has decided.

An envelope signs the rule alone (`H23.*`, a group). The hub resolves it, and its acceptance names the number and the
digest of the recipients and the version of the directory; so the list follows from signed words for whoever holds
that version. The sender's node computes it itself, and compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import structlog

from node.store import outbox, selection
from node.store.metadata import Transaction
from node.store.outbox import Recipient
from schemas.codes import AgencyCode
from schemas.envelope import Selector, SelectorKind, Sha256Hex
from schemas.errors import LimitExceeded, Rejected
from schemas.markup import nth
from schemas.message import BusinessType, Document, Message
from schemas.receipts import Receipt

log = structlog.get_logger()


def selected_recipients(
    transaction: Transaction,
    selectors: Sequence[Selector],
    *,
    sender: AgencyCode,
    besides: Sequence[Recipient],
    most: int,
) -> tuple[Recipient, ...]:
    """Whom a document goes to by today's copy: `besides`, whom it names, and whom the selectors find but `sender`.

    Raises Rejected: `group-unknown`, `no-recipient`; LimitExceeded: `too-many-recipients`.
    """
    found = {recipient.code: recipient for recipient in besides}
    for place, selector in enumerate(selectors):
        element = nth("Extension/Selector", place)
        agencies = _agencies(transaction, selector, None)
        if agencies is None:
            raise Rejected(
                "group-unknown",
                f"There is no group of recipients named {selector.value!r}.",
                element=element,
                mend="`congvan node agencies --groups` lists them.",
            )
        if not agencies:
            raise Rejected(
                "no-recipient",
                f"The directory knows no active agency that {selector.kind} {selector.value} selects.",
                element=element,
                mend="Check it with `congvan node agencies`.",
            )
        for code, name in agencies.items():
            if code != sender:
                found.setdefault(code, Recipient(code=code, written=code, name=name, selected=True))
    if len(found) > most:
        raise LimitExceeded(
            "too-many-recipients",
            f"The message goes to {len(found)} agencies; {most} are allowed.",
            mend="Select fewer, or send it in parts.",
        )
    if not found:
        raise Rejected("no-recipient", "The selectors find nobody but the sender.", element="Extension/Selector")
    return tuple(found.values())


def require_selectable(message: Message, selectors: Sequence[Selector]) -> None:
    """Pass if `message` may name recipients by rule; else `selectors-not-allowed`."""
    if selectors and not (isinstance(message, Document) and message.business_type is BusinessType.NEW):
        raise Rejected(
            "selectors-not-allowed",
            "Only a new document names recipients by rule: what speaks of one goes to those that have it.",
            element="Extension/Selector",
            mend="Name the agencies, or leave them out: then it goes to all that have the document.",
        )


def follow_acceptance(transaction: Transaction, accepted: Receipt, *, at: datetime) -> None:
    """Let the record name whom the hub resolved the selectors of a message to, by the directory that it resolved in.

    Called before the acceptance is noted; again when a restored hub has accepted the message anew.
    """
    selectors = selection.selectors_of(transaction, accepted.message_id)
    known = outbox.standing_of(transaction, accepted.message_id) if selectors else None
    if known is None:
        return
    before = outbox.recipients_of(transaction, accepted.message_id)
    resolved: dict[AgencyCode, str] = {}
    for selector in selectors:
        resolved |= _agencies(transaction, selector, accepted.directory_version) or {}
    resolved.pop(known.sender, None)
    held = {one.code for one in before}
    added = [
        Recipient(code=code, written=code, name=name, selected=True)
        for code, name in resolved.items()
        if code not in held
    ]
    outbox.add_recipients(transaction, accepted.message_id, added, state=known.state, after=len(before), at=at)
    gone = [one.code for one in before if one.selected and one.code not in resolved]
    outbox.drop_recipients(transaction, accepted.message_id, gone)
    # Whoever was told of it by the hub of before stays on record; what this acceptance attests is the rest.
    attested = resolved.keys() | {one.code for one in before if not one.selected}
    if recipients_digest(attested) != accepted.recipients_digest:
        log.error(
            "acceptance.recipients-differ",
            message=accepted.message_id,
            version=accepted.directory_version,
            found=len(attested),
            accepted=accepted.recipients_count,
        )


def _agencies(transaction: Transaction, selector: Selector, version: int | None) -> Mapping[AgencyCode, str] | None:
    """Whom a selector finds; None if it names a group that there is not."""
    if selector.kind is SelectorKind.PREFIX:
        return selection.below(transaction, selector.value, version)
    group = selection.group(transaction, selector.value, version)
    return None if group is None else selection.members(transaction, group, version)


def recipients_digest(recipients: Iterable[AgencyCode]) -> Sha256Hex:
    """SHA-256 over the recipients' codes of today, as an acceptance has it: sorted, each a line that ends in LF."""
    codes = sorted(code.value for code in recipients)
    return hashlib.sha256("".join(f"{code}\n" for code in codes).encode()).hexdigest()
