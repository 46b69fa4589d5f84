"""A package as a third party would bring it: installed by its metadata alone, with an adapter of each temper."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

_MODULE = '''
import asyncio, os, sys, time
from adapters.sdk import Accepted, Guarantee, Health


class Shelf:
    """Writes the key and size of what it is given into its folder; misbehaves once, as `temper` says."""

    guarantee = Guarantee.EXACTLY_ONCE

    def __init__(self, context):
        self._context = context
        self._temper = context.settings.get("temper", "good")

    async def deliver(self, delivery):
        marker = self._context.folder / "misbehaved"
        if self._temper != "good" and not marker.exists():
            marker.touch()
            self._misbehave()
        size = 0
        for attachment in delivery.attachments:
            async with self._context.node.open_attachment(attachment.digest) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
        (self._context.folder / str(delivery.key)).write_text(str(size))
        return Accepted()

    def _misbehave(self):
        if self._temper == "blocking":
            time.sleep(3600)
        if self._temper == "exiting":
            os._exit(7)
        if self._temper == "hungry":
            hoard = []
            while True:
                hoard.append(bytearray(64 * 2**20))
        raise RuntimeError(self._temper)

    async def run(self, stop):
        await stop.wait()

    async def health(self):
        foreign = sorted({name.partition(".")[0] for name in sys.modules} & {"hub", "node", "certs", "sqlalchemy"})
        return Health(not foreign, f"{os.getpid()} {' '.join(foreign)}")

    async def close(self):
        (self._context.folder / "closed").touch()


async def open_shelf(context):
    if "temper" in context.settings and context.settings["temper"] not in ("good", "blocking", "exiting", "hungry"):
        from schemas.errors import Rejected
        raise Rejected("temper-unknown", "No such temper.", element="adapters.shelf.temper")
    return Shelf(context)
'''


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter `shelf` of another package can be found, here and in processes that are started."""
    site = tmp_path / "site"
    metadata = site / "dispatch_shelf-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "dispatch_shelf.py").write_text(_MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dispatch-shelf\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[congvan.adapters]\nshelf = dispatch_shelf:open_shelf\n")
    monkeypatch.syspath_prepend(str(site))
    paths = [str(site), *(path for path in sys.path if path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
