"""Submission ids: made from the key that a message was handed in under, so that they can be made again.

A node that was put back to a backup fetches what it had sent from its hub. The envelope names no key, but this id;
whoever hands the same message in again under its key finds it by that.
"""

from __future__ import annotations

import json
import uuid
from typing import Final

from schemas.codes import AgencyCode

#: The namespace of these names (RFC 9562, section 5.5).
_NAMESPACE: Final = uuid.UUID("6f8e9a0c-3c57-5a1b-9d2e-6b1f0f7c2a41")


def submission_id_of(adapter: str, sender: AgencyCode, key: str) -> str:
    """The id of what `adapter` hands in for `sender` (today's code) under `key`."""
    return str(uuid.uuid5(_NAMESPACE, json.dumps([adapter, sender.value, key], ensure_ascii=False)))
