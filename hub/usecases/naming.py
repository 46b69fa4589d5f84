"""Which message an operator means: by its id, the beginning of it, or its DocumentId."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hub.store import messages, rejections
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from schemas.errors import Rejected

#: Fewer digits are no id but a slip.
_PREFIX: Final = re.compile(r"[0-9a-f]{8,64}", re.ASCII)

#: Messages with one DocumentId that are looked at; statuses about a document bear its DocumentId too.
_MOST: Final = 100


def messages_named(transaction: Transaction, text: str) -> Sequence[KnownMessage]:
    """The messages that `text` can mean, the newest first, documents before the statuses about them.

    Raises `message-unknown` if there is none.
    """
    name = text.strip()
    found = messages.beginning_with(transaction, name.lower(), most=_MOST) if _PREFIX.fullmatch(name.lower()) else []
    found = found or messages.with_document_id(transaction, name, most=_MOST)
    if not found:
        raise Rejected(
            "message-unknown",
            _refusal(transaction, name.lower()) or f"No message has the id or the DocumentId {name[:80]!r}.",
            mend="Give a message id, 8 digits or more of its beginning, or a DocumentId as it was sent.",
        )
    return found


def message_named(transaction: Transaction, text: str) -> KnownMessage:
    """The one message that `text` means. Raises `message-unknown`, `message-ambiguous`."""
    first, *others = messages_named(transaction, text)
    if others:
        raise Rejected(
            "message-ambiguous",
            f"{len(others) + 1} messages answer to {text.strip()[:80]!r}; the newest is {first.message_id}.",
            mend="`congvan hub trace` lists them. Name the one that is meant by its message id.",
        )
    return first


def _refusal(transaction: Transaction, digits: str) -> str | None:
    """What became of a message that was refused and never accepted, if its id begins with `digits`."""
    ids = rejections.ids_beginning(transaction, digits, limit=1) if _PREFIX.fullmatch(digits) else []
    for refusal in rejections.of_message(transaction, ids[0]) if ids else ():
        when = f"{refusal.rejected_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"The message {ids[0]} of {refusal.key.from_code} was refused on {when} by the rule {refusal.rule}."
    return None
