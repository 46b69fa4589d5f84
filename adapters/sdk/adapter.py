"""What a node asks of an adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

from adapters.sdk.deliveries import Delivery, Outcome
from adapters.sdk.node_api import NodeApi


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
