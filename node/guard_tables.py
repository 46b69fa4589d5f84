"""The guards that the settings name: made, and put in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

from pydantic import Field

from adapters.guards.protocol import GuardContext, Way
from adapters.loading import load_guard
from node.settings import NodeFolder
from node.usecases.guarding import Post
from runtime.clock import Clock
from runtime.settings import Settings, settings_of

#: Runs without a table, too.
ALWAYS: Final = "secrecy"

#: The cheap ones first. A guard of another package, unless its table says so, after those that ship.
_ORDER: Final = {"secrecy": 10, "file-types": 20, "clamav": 30, "pdf-signatures": 40}
_LAST: Final = 50


class GuardTable(Settings):
    """What the node itself reads of a guard's table."""

    guard: str | None = None
    """Which guard it is, where that is not the name of the table."""
    enabled: bool = True
    """Whether it is asked at all."""
    ways: tuple[Way, ...] = (Way.OUTGOING, Way.INCOMING)
    """Which way the messages go that it is asked about."""
    order: int | None = None
    """Guards with lower numbers are asked first. Absent: secrecy 10, file-types 20, clamav 30, pdf-signatures 40, any
    other 50."""
    timeout: Annotated[float, Field(gt=0, le=24 * 3600)] = 120.0
    """How many seconds it may take over a message, and one more for each MiB of attachments. The message then waits."""


async def open_guards(
    tables: Mapping[str, Mapping[str, Any]], folder: NodeFolder, clock: Clock, stack: AsyncExitStack
) -> tuple[Post, ...]:
    """Make every guard of the settings; each is closed with `stack`.

    Raises `settings-invalid`, and what `load_guard` and the guards themselves raise.
    """
    posts: list[tuple[int, Post]] = []
    named: dict[str, Mapping[str, Any]] = {ALWAYS: {}, **tables}
    for name, table in named.items():
        own = {key: value for key, value in table.items() if key in GuardTable.model_fields}
        place = settings_of(GuardTable, own, source=f"[guards.{name}]")
        if not place.enabled:
            continue
        kind = place.guard or name
        context = GuardContext(
            name=name,
            settings={key: value for key, value in table.items() if key not in own},
            folder=folder.data / "guards" / name,
            node_folder=folder.root,
            clock=clock,
        )
        guard = await load_guard(kind)(context)
        stack.push_async_callback(guard.close)
        order = _ORDER.get(kind, _LAST) if place.order is None else place.order
        posts.append((order, Post(name, guard, frozenset(place.ways), place.timeout)))
    return tuple(post for _, post in sorted(posts, key=lambda each: each[0]))
