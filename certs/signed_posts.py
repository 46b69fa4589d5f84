"""How posts to an address of the operator's or an agency's own are signed: alerts of a hub, messages of a node.

HMAC-SHA256 with a secret that both sides know, over the time of sending, a full stop, and the body, so that neither can
be forged or sent again much later. The receiver compares in constant time and refuses what is older than a few minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import datetime
from typing import Final

TIME_HEADER: Final = "Congvan-Timestamp"
SIGNATURE_HEADER: Final = "Congvan-Signature"

#: Bytes that a secret has at least.
LEAST_SECRET: Final = 16


def signature_headers(secret: bytes, body: bytes, at: datetime) -> dict[str, str]:
    """The headers that sign `body` as sent at `at`."""
    timestamp = str(int(at.timestamp()))
    return {TIME_HEADER: timestamp, SIGNATURE_HEADER: f"v1={signature(secret, timestamp, body)}"}


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 in hex over `timestamp`, a full stop, and the body."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def error_words(error: Exception) -> str:
    """What failed, in words that hold nothing of the address: the text of some errors has it, with a password in it."""
    number = getattr(error, "errno", None)
    system = f" ({os.strerror(number)})" if isinstance(number, int) and number > 0 else ""
    return f"{type(error).__name__}{system}"
