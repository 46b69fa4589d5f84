"""Messages for guards to judge, as a node gives them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.guards.protocol import GuardContext, GuardedAttachment, GuardedMessage, Way
from adapters.sdk import Override
from tests.node.core.world import document

#: The instant at which the tests' guards judge.
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def attachment(name: str, content: bytes = b"%PDF-1.7\n", *, chunk: int = 65536) -> GuardedAttachment:
    @contextlib.asynccontextmanager
    async def opened(start: int) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            for at in range(start, len(content), chunk):
                yield content[at : at + chunk]

        yield chunks()

    digest = hashlib.sha256(content).hexdigest()
    return GuardedAttachment(name=name, content_type="application/pdf", digest=digest, size=len(content), open=opened)


def message(
    *attachments: GuardedAttachment, way: Way = Way.OUTGOING, override: Override | None = None, **fields: Any
) -> GuardedMessage:
    return GuardedMessage(way=way, message=document(**fields), attachments=attachments, override=override)


def context(name: str, folder: Path = Path("/nowhere"), **settings: object) -> GuardContext:
    return GuardContext(name=name, settings=settings, folder=folder / "guard", node_folder=folder, clock=lambda: NOW)
