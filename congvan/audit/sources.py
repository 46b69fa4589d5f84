"""The databases of an audit, each with what it is judged by; and what all of them say of each message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from cryptography import x509

from hub.store import audit_records as hub_records
from hub.store.audit_records import HubRecord
from hub.usecases.audit import HubAudit, audit_hub
from node.store import audit_records as node_records
from node.store.audit_records import NodeRecord
from node.usecases.audit import NodeAudit, audit_node
from runtime.blobs import BlobStore
from runtime.database import Database
from runtime.terminal import Count
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

#: Messages that are compared at a time.
_PAGE: Final = 500

Record: TypeAlias = HubRecord | NodeRecord


@dataclass(frozen=True, slots=True)
class HubSource:
    """An open hub: the place that was given, its name, the roots it is judged under.

    `blobs` is None where the database was given alone: then attachments that are files are not looked at.
    """

    place: str
    name: str
    database: Database
    blobs: BlobStore | None
    authority: Sequence[x509.Certificate]

    async def audit(self, *, deep: bool, count: Count) -> HubAudit:
        return await audit_hub(
            self.database, self.blobs, self.authority, deep=deep, began=count.begin, advanced=count.advance
        )

    async def page(self, after: Sha256Hex) -> list[HubRecord]:
        return await self.database.read(partial(hub_records.page, after=after, limit=_PAGE))

    async def one(self, message_id: Sha256Hex) -> HubRecord | None:
        return await self.database.read(partial(hub_records.one, message_id=message_id))


@dataclass(frozen=True, slots=True)
class NodeSource:
    """An open node by its connection, with the agencies that it serves; the rest as of a `HubSource`."""

    place: str
    name: str
    database: Database
    blobs: BlobStore | None
    authority: Sequence[x509.Certificate]
    served: Sequence[AgencyCode]

    async def audit(self, *, deep: bool, count: Count) -> NodeAudit:
        return await audit_node(
            self.database, self.blobs, self.authority, self.served, deep=deep, began=count.begin, advanced=count.advance
        )

    async def page(self, after: Sha256Hex) -> list[NodeRecord]:
        return await self.database.read(partial(node_records.page, after=after, limit=_PAGE))

    async def one(self, message_id: Sha256Hex) -> NodeRecord | None:
        return await self.database.read(partial(node_records.one, message_id=message_id))


@dataclass(slots=True)
class Sources:
    """What is audited: at most one hub, and nodes by their connections."""

    hub: HubSource | None = None
    nodes: dict[str, NodeSource] = field(default_factory=dict)

    def add(self, source: HubSource | NodeSource) -> None:
        """Take one more. Raises `audit-source-twice`."""
        if isinstance(source, NodeSource):
            if source.name in self.nodes:
                raise _twice(source, self.nodes[source.name], f"Both are the node {source.name}")
            self.nodes[source.name] = source
        else:
            if self.hub is not None:
                raise _twice(source, self.hub, "A comparison has one hub")
            self.hub = source

    def all(self) -> list[HubSource | NodeSource]:
        return [*([self.hub] if self.hub else []), *self.nodes.values()]


def _twice(one: HubSource | NodeSource, other: HubSource | NodeSource, why: str) -> Rejected:
    return Rejected("audit-source-twice", f"{why}: {one.place} and {other.place}.", mend="Name each once.")


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
