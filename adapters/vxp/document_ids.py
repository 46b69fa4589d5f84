"""How messages are called in the API.

A message that was sent is called by its message id, one that arrived by its delivery key: it is told from the same
message for another agency, stays the same in every try, and can name a file.
"""

from __future__ import annotations

from adapters.sdk import DeliveryKey
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import MalformedCode


def received_id(key: DeliveryKey) -> str:
    return str(key)


def key_of(text: str) -> DeliveryKey | None:
    """The delivery that `text` calls by its name, None if it is no such name."""
    message_id, _, code = text.partition("-")
    try:
        return DeliveryKey(message_id, AgencyCode.parse(code)) if is_sha256_hex(message_id) else None
    except MalformedCode:
        return None


def sent_message_id(text: str) -> Sha256Hex | None:
    """The message that `text` calls by the sender's or by a receiver's name of it, None if it is neither."""
    message_id = text.partition("-")[0]
    return message_id if is_sha256_hex(message_id) else None
