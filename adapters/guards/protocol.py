"""The guard protocol: what a node asks before a message leaves, and before one is handed to an adapter.

A guard is asked about one message at a time, and says *passes*, *refuses* or *waits*; it changes nothing. It may be
asked about the same message again (after a wait, a restart, a crash), and must then come to its verdict anew. A first
guard:

    class NoDrafts:
        async def judge(self, message: GuardedMessage) -> Verdict:
            if any(attachment.name.lower().startswith("draft") for attachment in message.attachments):
                return Refuses("draft-forbidden", "A draft is no document yet.")
            return Passes()

        async def health(self) -> Health:
            return Health(ok=True)

        async def close(self) -> None: ...

    async def open_no_drafts(context: GuardContext) -> Guard:
        return NoDrafts()

    [project.entry-points."congvan.guards"]
    no-drafts = "our_package:open_no_drafts"
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from adapters.pdf_signatures import PdfSignature
from adapters.sdk import Health, Override
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.message import Document, StatusMessage


class Way(StrEnum):
    """Which way a message goes, as the node's agency sees it."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedAttachment:
    """An attachment to judge: `name` as its sender wrote it, so hostile; `size` in bytes.

    `open(start)` gives its bytes from `start` on, as a stream of chunks; they are the bytes that will travel on.
    """

    name: str
    content_type: str
    digest: Sha256Hex
    size: int
    open: Callable[[int], AbstractAsyncContextManager[AsyncIterator[bytes]]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedMessage:
    """A message to judge. `recipient` is the agency it came for; None of an outgoing one, which names its own.

    `override` is who answers, at the sender, for a mark of secrecy in it. A guard may heed it or not.
    """

    way: Way
    message: Document | StatusMessage
    attachments: tuple[GuardedAttachment, ...]
    recipient: AgencyCode | None = None
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Passes:
    """The guard has nothing against it. `note` is one sentence for people, if there is something to say.

    `signatures` are those found in attachments, by their digest; the software is shown them.
    """

    note: str = ""
    signatures: Mapping[Sha256Hex, tuple[PdfSignature, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refuses:
    """It goes no further. `code` is a stable kebab-case name of the rule; the sender reads `reason`."""

    code: str
    reason: str
    signatures: Mapping[Sha256Hex, tuple[PdfSignature, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waits:
    """The guard cannot judge now: the message waits, and is not let through. Asked again after `seconds`."""

    code: str
    reason: str
    seconds: float = 30.0


Verdict: TypeAlias = Passes | Refuses | Waits


class Guard(Protocol):
    """What a node asks of a guard. Every method can be cancelled at any await."""

    async def judge(self, message: GuardedMessage) -> Verdict:
        """Say whether `message` may go on. An exception counts as `Waits`."""

    async def health(self) -> Health: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardContext:
    """What a guard is made from: its name and table in the settings, a folder of its own (made when it is first
    needed), the node's folder, against which paths in settings are read, and the clock."""

    name: str
    settings: Mapping[str, object]
    folder: Path
    node_folder: Path
    clock: Callable[[], datetime]


#: What the entry point names: makes the guard, or raises `Rejected` naming the setting that is wrong.
GuardFactory: TypeAlias = Callable[[GuardContext], Awaitable[Guard]]
