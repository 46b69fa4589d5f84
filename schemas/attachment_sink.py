"""Where the bytes of attachments go: the caller gives a sink for each, so that nothing here touches a disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from schemas.errors import LimitExceeded
from schemas.limits import Limits


class AttachmentSink(Protocol):
    """Takes one attachment's bytes in order. `close` ends it whole; `discard` says that what it took is void."""

    def write(self, data: bytes, /) -> object: ...

    def close(self) -> object: ...

    def discard(self) -> object: ...


#: Gives the sink for the attachment of this index, counted from 0. It is asked twice for one index only where the
#: content could be meant in two ways (it stands before its name, or is a ZIP within a ZIP); one is then discarded.
SinkOpener: TypeAlias = Callable[[int], AttachmentSink]


class AttachmentBudget:
    """Bytes that all attachments of one message may still take."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.message_attachment_bytes
        self._taken = 0

    def take(self, size: int) -> None:
        """
        Raises:
            LimitExceeded: `attachments-too-large`.
        """
        self._taken += size
        if self._taken > self._most:
            raise LimitExceeded(
                "attachments-too-large",
                f"The attachments of the message have more than {self._most} bytes together.",
                mend="Send them in several messages.",
            )


class BoundedSink:
    """A sink that gets no byte beyond the limits. `size` is what it got."""

    def __init__(self, sink: AttachmentSink, limits: Limits, budget: AttachmentBudget) -> None:
        self.size = 0
        self._sink = sink
        self._most = limits.attachment_bytes
        self._budget = budget

    def write(self, data: bytes) -> None:
        """
        Raises:
            LimitExceeded: `attachment-too-large`, `attachments-too-large`; nothing of `data` is then passed on.
        """
        if self.size + len(data) > self._most:
            raise LimitExceeded(
                "attachment-too-large",
                f"The attachment has more than {self._most} bytes.",
                mend="Split it, or ask the operator for a higher limit.",
            )
        self._budget.take(len(data))
        self.size += len(data)
        self._sink.write(data)

    def close(self) -> None:
        self._sink.close()

    def discard(self) -> None:
        self._sink.discard()
