"""The adapter SDK: what a node gives to an adapter, and what it asks of one.

An adapter takes messages from the node to the agency's software (`Adapter.deliver`) and, if it is a source as
well, from the software to the node (`Adapter.run`, which calls `NodeApi.submit`). A first adapter:

    class Printer:
        guarantee = Guarantee.AT_LEAST_ONCE

        async def deliver(self, delivery: Delivery) -> Outcome:
            print(delivery.message.sender.organ_id, delivery.key)
            return Accepted()

        async def run(self, stop: asyncio.Event) -> None:
            await stop.wait()

        async def health(self) -> Health:
            return Health(ok=True)

        async def close(self) -> None: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import SecrecyLevel, Selector, Sha256Hex
from schemas.message import Document, Message, StatusMessage


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
    """An attachment that came with a message: `name` as its sender wrote it, so hostile; `size` in bytes."""

    name: str
    content_type: str
    description: str
    digest: Sha256Hex
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message to hand over, verified. `sealed` are the signed bytes as they came.

    `about` are the message ids that a status, recall, update or replacement speaks of; `missing` those among them that
    never came here for this agency, though the node waited for them. `signer` is the subject of the certificate that
    sealed it.
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


Outcome: TypeAlias = Accepted | Refused | Later | Never


class Guarantee(StrEnum):
    """What an adapter promises of hand-overs; the test kit holds it to that."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


@dataclass(frozen=True, slots=True)
class Health:
    """How an adapter does; `detail` is one sentence for people."""

    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAttachment:
    """A file to send. The node reads `path` during `submit` and keeps its own copy."""

    name: str
    content_type: str
    description: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A message to send, once.

    `key` is the caller's idempotency key: unique for one adapter and one From code. `fingerprint` is the SHA-256
    (hex) of what the caller was handed: the same key with another fingerprint is a conflict (`key-conflict`), with
    the same it is the same message. A document's `references` are made from `attachments`, and its `trace` is the
    node's if empty.
    `about` names messages explicitly; if empty, the node resolves the DocumentIds that the message itself names.
    What was not fetched at `expires_at` is delivered no more; the hub's own time to live may end it sooner.
    `selectors` name recipients by rule, of a new document alone: every active agency at or below a code, or a group.
    """

    key: str
    fingerprint: Sha256Hex
    message: Document | StatusMessage
    attachments: Sequence[OutgoingAttachment] = ()
    about: Sequence[Sha256Hex] = ()
    secrecy: SecrecyLevel | None = None
    expires_at: datetime | None = None
    selectors: Sequence[Selector] = ()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The node has the message durably and sends it; `repeated` if the key was known."""

    message_id: Sha256Hex
    repeated: bool


class NodeApi(Protocol):
    """What a node does for an adapter."""

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        """The agencies that this node serves."""

    async def submit(self, submission: Submission) -> Submitted:
        """Seal and queue a message. Raises `Rejected` (never again) or `Unavailable` (later)."""

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        """The directory's entry for a code, new or old."""

    def open_attachment(self, digest: Sha256Hex) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The bytes of an attachment of a message being delivered, as a stream of chunks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    """What an adapter is made from: its name and table in the settings, the node, a folder of its own, the clock."""

    name: str
    settings: Mapping[str, object]
    node: NodeApi
    folder: Path
    clock: Callable[[], datetime]


class Adapter(Protocol):
    """What a node asks of an adapter. Every method can be cancelled at any await."""

    guarantee: ClassVar[Guarantee]

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Hand one message over. An exception counts as `Later`."""

    async def run(self, stop: asyncio.Event) -> None:
        """Be a source of outgoing messages until `stop` is set; an adapter that is none waits for `stop`."""

    async def health(self) -> Health: ...

    async def close(self) -> None: ...


#: What the entry point names: makes the adapter, or raises `Rejected` naming the setting that is wrong.
AdapterFactory: TypeAlias = Callable[[AdapterContext], Awaitable[Adapter]]
