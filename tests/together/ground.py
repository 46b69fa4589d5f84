"""The ground that tests of hub and nodes together stand on: folders made once, as `init` makes them, and copied."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certs.enrolment_token import EnrolmentToken
from hub.app import serve
from hub.foundation import open_foundation as open_hub
from hub.initialisation import NewHub
from hub.initialisation import initialise as initialise_hub
from hub.settings import HubFolder, HubSettings
from hub.usecases.agencies import NewAgency
from node.initialisation import NewNode
from node.initialisation import initialise as initialise_node
from node.settings import NodeFolder
from node.usecases.enrolment import KeyType
from runtime.addresses import Address
from runtime.clock import utc_now
from schemas.codes import AgencyCode

HUB: Final = "hub.example.test"

#: The nodes: the name of each one's folder and connection, and the agencies that it serves.
NODES: Final = {"g22": ("G22",), "h23": ("H23", "H23.12"), "h31": ("H31",)}


@dataclass(frozen=True, slots=True)
class Ground:
    """Folders of a hub and its nodes, in which nothing was sent yet; `made_at` is when they were made."""

    folder: Path
    made_at: datetime

    def copy(self, to: Path) -> Path:
        """A copy to work in."""
        shutil.copytree(self.folder, to, symlinks=True)
        return to


def make_ground(folder: Path) -> Ground:
    """Make a hub, admit the agencies, enrol their nodes over TLS on loopback; then all is closed."""
    folder.mkdir(parents=True)
    asyncio.run(_make(folder))
    return Ground(folder, datetime.now(UTC))


async def _make(folder: Path) -> None:
    hub = HubFolder(folder / "hub")
    await initialise_hub(hub, NewHub(HUB, "127.0.0.1:0", ("127.0.0.1",)), clock=utc_now)
    tokens: dict[str, EnrolmentToken] = {}
    async with open_hub(hub) as office:
        for connection, codes in NODES.items():
            token = await office.connections.add(connection, connection, actor="test")
            tokens[connection] = EnrolmentToken.parse(token.text)
            for code in codes:
                await office.agencies.add(NewAgency(AgencyCode(code), code, (), connection), actor="test")
    stop = asyncio.Event()
    address: asyncio.Future[Address] = asyncio.get_running_loop().create_future()

    def announce(_settings: HubSettings, bound: Address) -> None:
        address.set_result(bound)

    daemon = asyncio.create_task(serve(hub, stop, announce=announce))
    try:
        url = f"https://127.0.0.1:{(await address).port}"
        for connection, token in tokens.items():
            new = NewNode(hub=url, token=token, key_type=KeyType.P256)
            await initialise_node(NodeFolder(folder / connection), new, clock=utc_now)
    finally:
        stop.set()
        await daemon
