"""What awaits software that fetches its messages itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adapters.sdk.deliveries import DeliveryKey
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import BusinessType, DocumentCode, Priority, StatusCode


class MessageKind(StrEnum):
    DOCUMENT = "document"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that awaits the software, in short; `NodeApi.delivery` gives it whole.

    `code` is a document's number and notation (None for a status, and for what came before the node kept them),
    `status` a status message's; `document_id` is the document's own, or that of which the status speaks. `since` is
    when it was first offered; `locked_until` is set while somebody holds it. `parked` is the reason of one that the
    software could not take, which waits for a person. `cursor`, as `after`, goes on behind it.
    """

    key: DeliveryKey
    kind: MessageKind
    sender: AgencyCode
    sender_name: str | None
    document_id: str | None
    code: DocumentCode | None
    subject: str | None
    business: BusinessType | None
    status: StatusCode | None
    priority: Priority
    about: tuple[Sha256Hex, ...]
    received_at: datetime
    since: datetime
    locked_until: datetime | None
    parked: str | None
    cursor: str


@dataclass(frozen=True, slots=True)
class Lock:
    """What one call locked: whoever has the `token` settles or unlocks the `keys`, until the lock lapses."""

    token: str
    keys: tuple[DeliveryKey, ...]
    until: datetime
