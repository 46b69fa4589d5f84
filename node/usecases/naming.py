"""How people name a message: by its id, by the beginning of one, by the document's own DocumentId."""

from __future__ import annotations

import re
from typing import Final

from adapters.sdk import DeliveryKey
from node.store import messages
from node.store.metadata import Transaction
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

#: Enough digits that two messages of one node hardly share them.
SHORTEST: Final = 8
_BEGINNING = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}", re.ASCII)


def message_named(transaction: Transaction, name: str) -> Sha256Hex:
    """The message that a person means: an id, a unique beginning of one, or the newest document with a DocumentId.

    Raises Rejected: `message-unknown`, `message-ambiguous`.
    """
    if _BEGINNING.fullmatch(name):
        found = messages.beginning_with(transaction, name, limit=2)
        if len(found) == 1:
            return found[0]
        if found:
            raise Rejected(
                "message-ambiguous", f"Several messages begin with {name}.", mend="Give more digits of the message id."
            )
    newest = messages.newest_with(transaction, name)
    if newest is None:
        raise Rejected(
            "message-unknown",
            f"No message {name!r} is on record here.",
            mend=f"Give the message id, {SHORTEST} digits of its beginning or more, or the DocumentId; "
            "`congvan node outbox` and `congvan node inbox` list them.",
        )
    return newest


def delivery_unknown(key: DeliveryKey) -> Rejected:
    """Nothing of that name came here, or it is not for whoever asks."""
    return Rejected(
        "delivery-unknown",
        f"No message {key.message_id} is here for {key.recipient}.",
        mend="Use message id and recipient as the node listed them.",
    )
