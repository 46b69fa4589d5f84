from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from adapters.sdk import AdapterContext
from adapters.vxp import Vxp, open_vxp
from tests.adapters.simulator import NOW
from tests.adapters.vxp.client import SdkClient
from tests.adapters.vxp.node import OfferingNode

SECRETS = {"demo.system.01": "demo-secret-123", "unit.system.02": "bí mật của đơn vị"}


@dataclass
class Site:
    """An API that answers, and the node behind it."""

    node: OfferingNode
    adapter: Vxp
    folder: Path

    @property
    def endpoint(self) -> str:
        assert self.adapter.url is not None
        return self.adapter.url

    @property
    def spooled(self) -> list[Path]:
        """What stands in the spool now."""
        return list((self.folder / ".state" / "spool").glob("*"))

    async def spool_is(self, *, empty: bool) -> None:
        """Wait until the spool is empty, or is not: an answer is read before its copy is removed."""
        async with asyncio.timeout(20):
            while bool(self.spooled) is empty:  # noqa: ASYNC110 - it happens on the disk
                await asyncio.sleep(0.002)

    def client(self, system_id: str = "demo.system.01", **changes: str) -> SdkClient:
        """A new service object of the software."""
        return SdkClient(**{"endpoint": self.endpoint, "system_id": system_id, "secret": SECRETS[system_id], **changes})


class Opener(Protocol):
    def __call__(self, **settings: object) -> AbstractAsyncContextManager[Site]: ...


@pytest.fixture
def node(tmp_path: Path) -> OfferingNode:
    return OfferingNode(tmp_path / "outbox")


@pytest.fixture
def open_site(node: OfferingNode, tmp_path: Path) -> Opener:
    """Opens the API before `node`, with settings of the test's own beside the usual ones."""
    tables = {}
    for name, (system_id, codes) in {"a": ("demo.system.01", ["G22"]), "b": ("unit.system.02", ["G22.01"])}.items():
        secret = tmp_path / f"{name}.secret"
        secret.write_text(SECRETS[system_id] + "\n")
        secret.chmod(0o600)
        tables[name] = {"system_id": system_id, "secret_file": secret, "codes": codes}

    @contextlib.asynccontextmanager
    async def opened(**settings: object) -> AsyncIterator[Site]:
        table = {"listen": "127.0.0.1:0", "systems": tables, **settings}
        folder = tmp_path / "vxp"
        context = AdapterContext(name="vxp", settings=table, node=node, folder=folder, clock=lambda: NOW)
        adapter = await open_vxp(context)
        stop = asyncio.Event()
        running = asyncio.create_task(adapter.run(stop))
        try:
            while adapter.url is None and not running.done():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
            if running.done():
                await running
            yield Site(node, adapter, folder)
        finally:
            stop.set()
            await running
            await adapter.close()

    return opened


@pytest.fixture
async def site(open_site: Opener) -> AsyncIterator[Site]:
    async with open_site() as one:
        yield one
