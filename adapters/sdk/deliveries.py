"""What is handed over: a message for one agency, under a key that is the same in every try."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from adapters.pdf_signatures import PdfSignature
from schemas.codes import AgencyCode
from schemas.envelope import Override, Sha256Hex
from schemas.message import Message


@dataclass(frozen=True, slots=True)
class DeliveryKey:
    """The name of one hand-over: this message, for this agency. It is the same in every try.

    An adapter that commits the key together with the document hands over exactly once.
    """

    message_id: Sha256Hex
    recipient: AgencyCode

    def __str__(self) -> str:
        return f"{self.message_id}-{self.recipient}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingAttachment:
    """An attachment that came with a message: `name` as its sender wrote it, so hostile; `size` in bytes.

    `signatures` are those found in it, where the node's guard for signed PDF files runs and looked.
    """

    name: str
    content_type: str
    description: str
    digest: Sha256Hex
    size: int
    signatures: tuple[PdfSignature, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message to hand over, verified. `sealed` are the signed bytes as they came.

    `about` are the message ids that a status, recall, update or replacement speaks of; `missing` those among them that
    never came here for this agency, though the node waited for them. `signer` is the subject of the certificate that
    sealed it. `override` is who answers, at the sender, for a mark of secrecy that a guard reads in it.
    """

    key: DeliveryKey
    message: Message
    about: tuple[Sha256Hex, ...]
    attachments: tuple[IncomingAttachment, ...]
    sealed: bytes
    signer: str
    signed_at: datetime
    accepted_at: datetime
    received_at: datetime
    missing: tuple[Sha256Hex, ...] = ()
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The software has the message, durably."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The software refuses the message for good; the sender gets status 02 with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: the node tries again, after `seconds` if given, else by its own backoff."""

    reason: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Never:
    """This adapter can never take it: the message is parked, shown to people, and can be driven again by them."""

    reason: str


@dataclass(frozen=True, slots=True)
class Awaiting:
    """The software fetches the message itself: the node offers it (`NodeApi.waiting`) until `NodeApi.settle`.

    Offered messages survive restarts. What speaks of one may be offered beside it, listed after it.
    """


Outcome: TypeAlias = Accepted | Refused | Later | Never | Awaiting
#: What ends a hand-over that awaits the software.
Settlement: TypeAlias = Accepted | Refused | Never
