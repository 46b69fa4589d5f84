"""The node's own copies of attachments."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest

from schemas.limits import MIB
from tests.node.core.node_under_test import Node
from tests.services.columns import ON_SQLITE


@ON_SQLITE
async def test_a_share_that_hangs_holds_up_no_other_adapter(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that the file system does not answer for is waited for by its own adapter alone."""
    hanging, free = tmp_path / "hanging.pdf", tmp_path / "free.pdf"
    for path in (hanging, free):
        path.write_bytes(b"%PDF-1.7")
    answers = threading.Event()
    is_file = Path.is_file

    def answered_late(path: Path) -> bool:
        if path == hanging:
            answers.wait(20)
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", answered_late)
    keep = partial(node.attachments.keep, limit=MIB, progress=lambda _bytes: None)
    waiting = asyncio.create_task(keep(hanging, adapter="filedrop"))
    await asyncio.sleep(0)
    kept = await keep(free, adapter="rest")
    assert not waiting.done()
    answers.set()
    assert await waiting == kept
