"""A hub and its nodes, open in one process, with one clock; each can be closed and opened again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from tests.together.ground import NODES
from tests.together.hub_side import Network, RunningHub, running_hub
from tests.together.node_side import RunningNode, Software, running_node

#: Agencies, each with the node that serves it.
NODE_OF = {code: name for name, codes in NODES.items() for code in codes}


@dataclass(slots=True)
class Clock:
    """A clock that stands until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class WrongClock:
    """A clock that is ahead of the right one by so much."""

    right: Clock
    ahead: timedelta

    def __call__(self) -> datetime:
        return self.right() + self.ahead


@dataclass(slots=True)
class Site:
    """All of it. Software outlives the restarts of its node; `ahead`: whose clock is wrong from its next opening."""

    folder: Path
    clock: Clock
    chance: Random
    network: Network = field(default_factory=Network)
    software: dict[str, Software] = field(default_factory=lambda: {name: Software() for name in NODES})
    ahead: dict[str, timedelta] = field(default_factory=dict)
    _open: dict[str, contextlib.AsyncExitStack] = field(default_factory=dict)
    _hub: RunningHub | None = None
    _nodes: dict[str, RunningNode] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    @property
    def hub(self) -> RunningHub:
        assert self._hub is not None
        return self._hub

    def node(self, name: str) -> RunningNode:
        return self._nodes[name]

    def clock_of(self, name: str) -> Callable[[], datetime]:
        return WrongClock(self.clock, self.ahead[name]) if name in self.ahead else self.clock

    async def open(self) -> None:
        await self.open_hub()
        for name in NODES:
            await self.open_node(name)

    async def open_hub(self) -> None:
        """(Re)open the hub; it then answers elsewhere, so that the nodes are opened anew as well."""
        await self._close("hub")
        stack = self._open["hub"] = contextlib.AsyncExitStack()
        self._hub = await stack.enter_async_context(
            running_hub(self.folder / "hub", self.network, self.clock_of("hub"))
        )

    async def open_node(self, name: str) -> None:
        await self._close(name)
        stack = self._open[name] = contextlib.AsyncExitStack()
        self._nodes[name] = await stack.enter_async_context(
            running_node(
                self.folder / name,
                name,
                self.hub.url,
                self.software[name],
                clock=self.clock_of(name),
                chance=Random(self.chance.random()),
            )
        )

    async def restart(self, name: str) -> None:
        """Close a side and open it again from what it left in its folder."""
        if name != "hub":
            await self.open_node(name)
            return
        await self.open_hub()
        for node in NODES:
            await self.open_node(node)

    async def close(self) -> None:
        for name in (*NODES, "hub"):
            await self._close(name)

    async def _close(self, name: str) -> None:
        if stack := self._open.pop(name, None):
            await stack.aclose()

    async def round(self) -> int:
        """One step of everything; gives how much was done."""
        done = 0
        for node in self._nodes.values():
            done += await node.send()
        await self.hub.sweep()
        for node in self._nodes.values():
            done += await node.fetch() + await node.hand_over() + await node.report()
        return done

    async def run_dry(self, *, rounds: int = 60) -> None:
        """Let everything go on, with time passing, until nothing is left to do."""
        idle = 0
        for _ in range(rounds):
            idle = 0 if await self.round() else idle + 1
            if idle == 2:
                return
            self.clock.advance(600)
        raise AssertionError(f"there is still work after {rounds} rounds")


@contextlib.asynccontextmanager
async def opened(folder: Path, at: datetime) -> AsyncIterator[Site]:
    """The site in `folder`, open until left."""
    site = Site(folder, Clock(at), Random(1))
    try:
        await site.open()
        yield site
    finally:
        await site.close()
