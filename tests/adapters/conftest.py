from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.filedrop import Filedrop, open_filedrop
from tests.adapters.simulator import NodeSimulator

META = """\
subject = "V/v gửi, nhận văn bản điện tử"
code = "6101/VPCP-KSTT"
place = "Hà Nội"
to = ["H23", "H31"]

[signer]
full_name = "Nguyễn Thị Lan"
"""


@dataclass
class Drop:
    """An open drop and the node behind it."""

    node: NodeSimulator
    adapter: Filedrop
    root: Path

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def incoming(self) -> Path:
        return self.root / "in"

    @property
    def failed(self) -> Path:
        return self.root / "failed"

    @property
    def sent(self) -> Path:
        """sent/ of the simulator's day."""
        return self.root / "sent" / "2026-11-20"

    async def look(self, *seconds: float) -> None:
        """Look at out/ at these seconds of a clock of ours."""
        for now in seconds:
            assert self.adapter._ways is not None
            await self.adapter._ways.outbox.send_what_is_ready(now, asyncio.Event())

    def put_folder(self, name: str = "to-trinh", meta: str = META, **files: bytes) -> Path:
        folder = self.out / name
        folder.mkdir()
        for file, content in (files or {"thu.pdf": b"%PDF-1.4"}).items():
            (folder / file).write_bytes(content)
        (folder / "meta.toml").write_text(meta)
        return folder


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for happens on the disk
            await asyncio.sleep(0.01)


async def until_well(adapter: Filedrop) -> None:
    """Wait until the adapter says that it is well: it does so when a look at out/ has ended."""
    async with asyncio.timeout(60):
        while not (await adapter.health()).ok:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@pytest.fixture
def node(tmp_path: Path) -> NodeSimulator:
    return NodeSimulator(tmp_path / "outbox")


@pytest.fixture
async def drop(node: NodeSimulator, tmp_path: Path) -> AsyncIterator[Drop]:
    adapter = await open_filedrop(node.context(tmp_path / "filedrop"))
    yield Drop(node, adapter, tmp_path / "filedrop")
    await adapter.close()
