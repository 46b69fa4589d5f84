"""A large attachment, node to node, against the same bytes up to a bare server and down again.

Ours are copied into the sender's node, uploaded to the hub and downloaded by the recipient's node, hashed and synced
at each; the bare server hashes and syncs what it is sent, and hands it out. Both are under the same TLS. The memory is
each program's peak while the attachment passes, less what it had before.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

import aiohttp

from benchmarks import bare
from benchmarks.documents import RECIPIENT, SENDER
from benchmarks.exchange import Exchange, running
from benchmarks.machine import forget_peak, memory, peak_memory
from benchmarks.measurement import Run
from benchmarks.rows import Pair, Result, Row, at_least, at_most
from certs.tls import client_context
from node.foundation import open_foundation
from node.settings import NodeFolder
from schemas.limits import GIB, KIB, MIB

_BARE: Final = "bare aiohttp: an upload to a file with SHA-256 and fsync, then a download, under the same TLS"
RATE = Row("attachment", "1 GiB attachment, node to node", "MiB/s", _BARE, at_least(0.6))
MEMORY = Row(
    "attachment-memory",
    "1 GiB attachment: peak memory growth of the process that grew most",
    "MiB",
    "64 MiB",
    at_most(1),
)

#: Peak growth that a process may have, in MiB.
_ALLOWED: Final = 64.0
_CHUNK: Final = 256 * KIB


class LargeAttachment:
    rows: ClassVar[tuple[Row, ...]] = (RATE, MEMORY)

    async def measure(self, run: Run) -> Sequence[Result]:
        size = run.of(quick=128 * MIB, full=GIB)
        rates, growths = [], []
        async with (
            running(run.folder / "attachment") as exchange,
            bare.running(exchange.site.hub_folder, run.folder / "attachment-bare") as (_, port),
        ):
            for repeat in range(run.repeats):
                run.tell(f"attachment: {repeat + 1} of {run.repeats}")
                theirs = await _bare_seconds(exchange, port, size)
                ours, growth = await _seconds_and_growth(exchange, size)
                rates.append(Pair(size / MIB / ours, size / MIB / theirs))
                growths.append(Pair(growth / MIB, _ALLOWED))
        scale = f"{size // MIB} MiB a repeat"
        return [Result(RATE, scale, tuple(rates)), Result(MEMORY, scale, tuple(growths))]


async def _seconds_and_growth(exchange: Exchange, size: int) -> tuple[float, int]:
    """Seconds from `submit` to `deliver`, and the largest growth of a process meanwhile, in bytes."""
    await exchange.prepare(1, size=size)
    await exchange.orders[RECIPIENT].arrivals()
    pids = [program.pid for program in exchange.site.programs.values()]
    before = {pid: memory(pid) for pid in pids}
    for pid in pids:
        forget_peak(pid)
    [(number, begun, _)] = await exchange.submit(1)
    await exchange.until(exchange.receipts.look, exchange.sent, "receipts")
    arrived = None
    while arrived is None:
        arrived = dict(await exchange.orders[RECIPIENT].arrivals()).get(number)
        await asyncio.sleep(0.02)
    return arrived - begun, max(peak_memory(pid) - before[pid] for pid in pids)


async def _bare_seconds(exchange: Exchange, port: int, size: int) -> float:
    """Seconds for the bytes up and down again."""
    async with open_foundation(NodeFolder(exchange.site.node_folder(SENDER))) as node:
        tls = client_context(node.identity.hub_authority, node.keys.tls_chain, node.keys.tls_key)
    folder = exchange.site.folder
    source, target = folder / "bare-source", folder / "bare-target"
    digest = await asyncio.to_thread(_write, source, size)
    address = f"https://{bare.HOST}:{port}{bare.FILE}"
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(ssl=tls)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        begun = time.monotonic()
        async with session.put(address, data=_pieces(source)) as answer:
            if await answer.text() != digest:
                raise ValueError("the bare server has other bytes")
        async with session.get(address) as answer:
            with target.open("wb") as file:
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    file.write(chunk)
        ended = time.monotonic()
    if target.stat().st_size != size:
        raise ValueError("the bare download broke off")
    return ended - begun


def _write(path: Path, size: int) -> str:
    """A file of `size` random bytes; gives its digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file, Path("/dev/urandom").open("rb") as chance:
        for _ in range(size // MIB):
            piece = chance.read(MIB)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            yield piece
