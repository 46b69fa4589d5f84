"""A site of the demo's, cut short while it comes about."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from congvan.demo.site import Member, Site


async def test_who_is_cut_short_while_a_hub_starts_leaves_none_running(tmp_path: Path) -> None:
    """A hub that was started and does not answer yet ends with whoever waits for it."""
    site = Site(tmp_path, [Member("H23", "UBND tỉnh Hải Dương")])
    # It never listens.
    site.launchers["hub"] = (sys.executable, "-c", "import time; time.sleep(600)")
    making = asyncio.create_task(site.set_up())
    async with asyncio.timeout(60):
        while not (site.programs and site.hub.is_running):  # noqa: ASYNC110 - the process is the event
            await asyncio.sleep(0.01)
    pid = site.hub.pid
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not Path(f"/proc/{pid}").exists()
