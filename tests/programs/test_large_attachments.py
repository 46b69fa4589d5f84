"""A large attachment between real programs that are killed in the middle of its way."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from random import Random

import pytest

from congvan.demo.programs import Program
from congvan.demo.site import Site
from schemas.limits import MIB
from tests.programs.exchange import G22, H23, drop, settled, site, subjects, until

SIZE = 24 * MIB


def _arriving(folder: Path) -> int:
    """Bytes of the longest upload in a folder of attachments, or of the longest blob."""
    lengths = [0]
    for path in folder.rglob("*"):
        if path.parent.name == "uploads" or re.fullmatch("[0-9a-f]{64}", path.name):
            try:
                lengths.append(path.stat().st_size)
            except FileNotFoundError:
                continue
    return max(lengths)


async def _killed_at(program: Program, folder: Path, at: int) -> None:
    """Kill a program when so many bytes have come into `folder`, and start it again."""

    async def reached() -> bool:
        return _arriving(folder) >= at

    await until(reached, f"{at} bytes in {folder}")
    await program.kill()
    await program.start()


@pytest.mark.programs
@pytest.mark.timeout(600)
async def test_kills_in_the_middle_of_its_way_lose_no_byte(tmp_path: Path) -> None:
    """Sender, hub and recipient are killed while the attachment passes: it arrives once, byte for byte."""
    chance = Random(14)
    made: Site = site(tmp_path)
    try:
        await made.set_up()
        await made.start_nodes()
        content = chance.randbytes(SIZE)
        drop(made, 1, content=content)
        hub, recipient = made.hub_folder / "data", made.node_folder("H23") / "data"
        sender = made.programs[f"node-{G22.code}"]
        receiver = made.programs[f"node-{H23.code}"]
        for program, folder in (
            (sender, hub),
            (made.hub, hub),
            (receiver, recipient),
            (made.hub, recipient),
        ):
            await _killed_at(program, folder, chance.randrange(SIZE))
        await settled(made, 1)
        assert await subjects(made, "H23") == ["Văn bản số 1"]
        (received,) = (made.node_folder("H23") / "filedrop" / "in").glob("[!.]*/*/van-ban.pdf")
        digest = await asyncio.to_thread(lambda: hashlib.sha256(received.read_bytes()).hexdigest())
        assert digest == hashlib.sha256(content + b" 1").hexdigest()
    finally:
        await made.stop()
