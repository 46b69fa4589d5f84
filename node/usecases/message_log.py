"""Lines of the log about messages: what happens to several at one moment is told in one line.

A line costs as much as some statements (docs/performance.md). Those whose writes commit together go on in the same turn
of the event loop, and what they tell in it waits for its end.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import structlog

from schemas.envelope import Sha256Hex

log = structlog.get_logger()

_Fields: TypeAlias = tuple[tuple[str, str | int], ...]


class MessageLog:
    """Tells one event: by the name `one` of a single message, by `many` of several that have equal fields."""

    def __init__(self, *, one: str, many: str) -> None:
        self._one = one
        self._many = many
        self._told: dict[_Fields, list[Sha256Hex]] = {}

    def tell(self, message_id: Sha256Hex, **fields: str | int) -> None:
        """That it happened to a message; the line is written before the event loop waits for anything."""
        if not self._told:
            asyncio.get_running_loop().call_soon(self._write)
        self._told.setdefault(tuple(fields.items()), []).append(message_id)

    def _write(self) -> None:
        told, self._told = self._told, {}
        for fields, messages in told.items():
            if len(messages) == 1:
                log.info(self._one, message=messages[0], **dict(fields))
            else:
                log.info(self._many, messages=messages, count=len(messages), **dict(fields))
