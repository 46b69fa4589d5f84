"""Opening what an audit was given: folders as their own commands open them, addresses without a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cryptography import x509

from congvan.audit.servers import Servers
from congvan.audit.sources import HubSource, NodeSource, Sources
from hub.foundation import open_current as open_hub
from hub.settings import HubFolder
from node.foundation import open_current as open_node
from node.settings import NodeFolder
from schemas.errors import Rejected


@asynccontextmanager
async def opened(
    places: Sequence[str], *, authority: Sequence[x509.Certificate] = (), servers: Servers | None = None
) -> AsyncIterator[Sources]:
    """Open what lies at `places`, folders or addresses; nothing is migrated or changed.

    All is judged under `authority`. Without it a folder is judged under the one that it holds, and an address under
    that of a folder beside it, the hub's first. Raises `audit-source`, `audit-source-twice`, `audit-authority` for an
    address that no authority is known for, and what opening raises.
    """
    sources = Sources()
    async with AsyncExitStack() as stack:
        for place in (place for place in places if "://" not in place):
            sources.add(await _in_folder(place, authority, stack))
        beside = authority or next((source.authority for source in sources.all()), ())
        for place in (place for place in places if "://" in place):
            sources.add(await (servers or Servers()).open(place, beside, stack))
        yield sources


async def _in_folder(
    place: str, authority: Sequence[x509.Certificate], stack: AsyncExitStack
) -> HubSource | NodeSource:
    folder = _folder(place)
    if _is_hub(folder):
        hub = await stack.enter_async_context(open_hub(HubFolder(folder)))
        roots = authority or (hub.keys.authority.root,)
        return HubSource(str(folder), hub.settings.hub.name, hub.database, hub.blobs, roots)
    node = await stack.enter_async_context(open_node(NodeFolder(folder)))
    await node.directory.load()
    return NodeSource(
        str(folder),
        node.identity.connection,
        node.database,
        node.blobs,
        authority or node.identity.hub_authority,
        [*node.identity.enrolled_codes, *node.directory.served_codes],
    )


def _folder(place: str) -> Path:
    """The folder of a hub or a node, of which `place` is the path or that of its database."""
    path = Path(place)
    folder = path.parent.parent if path.name in ("hub.db", "node.db") and path.parent.name == "data" else path
    if not (_is_hub(folder) or (folder / "data" / "node.db").is_file() or NodeFolder(folder).settings_file.is_file()):
        raise Rejected(
            "audit-source",
            f"{place} is neither the folder of a hub or node nor its database.",
            mend="Give the folder itself, or the address of its database on a server.",
        )
    return folder


def _is_hub(folder: Path) -> bool:
    """True if a hub's database or its authority lies in `folder`; the database may be on a server."""
    return (folder / "data" / "hub.db").is_file() or HubFolder(folder).authority.is_dir()
