"""The databases of an audit: folders of hubs and nodes, opened as their own commands open them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from hub.cli.audit import audit_of as audit_hub
from hub.foundation import Foundation as HubFoundation
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from hub.store import audit_records as hub_records
from hub.store.audit_records import HubRecord
from hub.usecases.audit import HubAudit
from node.cli.audit import audit_of as audit_node
from node.foundation import Foundation as NodeFoundation
from node.foundation import open_foundation as open_node
from node.settings import NodeFolder
from node.store import audit_records as node_records
from node.store.audit_records import NodeRecord
from node.usecases.audit import NodeAudit
from runtime.terminal import Count
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

#: Messages that are compared at a time.
_PAGE: Final = 500

Record: TypeAlias = HubRecord | NodeRecord


@dataclass(frozen=True, slots=True)
class HubSource:
    """An open hub."""

    folder: Path
    hub: HubFoundation

    @property
    def name(self) -> str:
        return self.hub.settings.hub.name

    async def audit(self, *, deep: bool, count: Count) -> HubAudit:
        return await audit_hub(self.hub, deep=deep, count=count)

    async def page(self, after: Sha256Hex) -> list[HubRecord]:
        return await self.hub.database.read(partial(hub_records.page, after=after, limit=_PAGE))

    async def one(self, message_id: Sha256Hex) -> HubRecord | None:
        return await self.hub.database.read(partial(hub_records.one, message_id=message_id))


@dataclass(frozen=True, slots=True)
class NodeSource:
    """An open node."""

    folder: Path
    node: NodeFoundation

    @property
    def name(self) -> str:
        return self.node.identity.connection

    async def audit(self, *, deep: bool, count: Count) -> NodeAudit:
        return await audit_node(self.node, deep=deep, count=count)

    async def page(self, after: Sha256Hex) -> list[NodeRecord]:
        return await self.node.database.read(partial(node_records.page, after=after, limit=_PAGE))

    async def one(self, message_id: Sha256Hex) -> NodeRecord | None:
        return await self.node.database.read(partial(node_records.one, message_id=message_id))


@dataclass(slots=True)
class Sources:
    """What is audited: at most one hub, and nodes by their connections."""

    hub: HubSource | None = None
    nodes: dict[str, NodeSource] = field(default_factory=dict)

    def all(self) -> list[HubSource | NodeSource]:
        return [*([self.hub] if self.hub else []), *self.nodes.values()]


@asynccontextmanager
async def opened(places: list[str]) -> AsyncIterator[Sources]:
    """Open what lies at `places`; nothing is migrated or changed.

    Raises `audit-source`, `audit-source-unsupported`, `audit-source-twice`, and what opening raises.
    """
    sources = Sources()
    async with AsyncExitStack() as stack:
        for place in places:
            folder = _folder(place)
            if _is_hub(folder):
                hub = HubSource(folder, await stack.enter_async_context(open_hub(HubFolder(folder))))
                if sources.hub is not None:
                    raise _twice(folder, sources.hub.folder, "A comparison has one hub")
                sources.hub = hub
            else:
                node = NodeSource(folder, await stack.enter_async_context(open_node(NodeFolder(folder))))
                await node.node.directory.load()
                if node.name in sources.nodes:
                    raise _twice(folder, sources.nodes[node.name].folder, f"Both are the node {node.name}")
                sources.nodes[node.name] = node
        yield sources


def _folder(place: str) -> Path:
    """The folder of a hub or a node, of which `place` is the path or that of its database."""
    if "://" in place:
        raise Rejected(
            "audit-source-unsupported",
            f"{place.partition('://')[0]} addresses name no keys to verify by, and no attachments.",
            mend="Give the folder of the hub or node whose settings name that database.",
        )
    path = Path(place)
    folder = path.parent.parent if path.name in ("hub.db", "node.db") and path.parent.name == "data" else path
    if not (_is_hub(folder) or (folder / "data" / "node.db").is_file() or NodeFolder(folder).settings_file.is_file()):
        raise Rejected(
            "audit-source",
            f"{place} is neither the folder of a hub or node nor its database.",
            mend="Give the folder itself: keys to verify by and attachments lie there beside the database.",
        )
    return folder


def _is_hub(folder: Path) -> bool:
    """True if a hub's database or its authority lies in `folder`; the database may be on a server."""
    return (folder / "data" / "hub.db").is_file() or HubFolder(folder).authority.is_dir()


def _twice(one: Path, other: Path, why: str) -> Rejected:
    return Rejected("audit-source-twice", f"{why}: {one} and {other}.", mend="Name each once.")


async def merged(sources: Sources) -> AsyncIterator[tuple[Sha256Hex, HubRecord | None, Mapping[str, NodeRecord]]]:
    """Every message that any side knows, in the order of ids, with what each side says of it."""
    hub = _Stream(sources.hub) if sources.hub else None
    nodes = {name: _Stream(source) for name, source in sources.nodes.items()}
    streams = [*([hub] if hub else []), *nodes.values()]
    while True:
        await asyncio.gather(*(stream.fill() for stream in streams))
        heads = [stream.head for stream in streams if stream.head is not None]
        if not heads:
            return
        first = min(heads)
        of_hub = hub.take(first) if hub else None
        of_nodes = {name: record for name, stream in nodes.items() if (record := stream.take(first)) is not None}
        yield (
            first,
            of_hub if isinstance(of_hub, HubRecord) else None,
            {name: record for name, record in of_nodes.items() if isinstance(record, NodeRecord)},
        )


class _Stream:
    """The records of one source, page by page."""

    def __init__(self, source: HubSource | NodeSource) -> None:
        self._source = source
        self._page: deque[Record] = deque()
        self._last = ""
        self._ended = False

    @property
    def head(self) -> Sha256Hex | None:
        return self._page[0].message_id if self._page else None

    async def fill(self) -> None:
        if not self._page and not self._ended:
            self._page.extend(await self._source.page(self._last))
            self._ended = not self._page
            if self._page:
                self._last = self._page[-1].message_id

    def take(self, message_id: Sha256Hex) -> Record | None:
        return self._page.popleft() if self.head == message_id else None
