"""Wake-up: from the software's `submit` to the other software's `deliver`, on an idle system.

Between the two lie a seal, three durable commits, two verifications and a long poll that ends. The floor is a bare long
poll under the same TLS, answered through an asyncio event when another request rings, with the processor time of one
RSA signature and two verifications added. Both are measured one document at a time, by turns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, Final

import aiohttp

from benchmarks import bare
from benchmarks.documents import RECIPIENT, SENDER
from benchmarks.exchange import Exchange, running
from benchmarks.measurement import Run
from benchmarks.measures.exchanging import floors_of
from benchmarks.rows import Pair, Result, Row, at_most, percentile
from certs.tls import client_context
from node.foundation import open_foundation
from node.settings import NodeFolder

_FLOOR: Final = "a bare long poll answered through an event, and the floors of one sign and two verifies"
MEDIAN = Row("wake-up-p50", "wake-up: submit to arrival, idle system, p50", "ms", _FLOOR, at_most(3))
TAIL = Row("wake-up-p99", "wake-up: submit to arrival, idle system, p99", "ms", _FLOOR, at_most(3))

#: Seconds between two documents, so that the receipts of one do not meet the next.
_REST: Final = 0.15


class WakingUp:
    rows: ClassVar[tuple[Row, ...]] = (MEDIAN, TAIL)

    async def measure(self, run: Run) -> Sequence[Result]:
        documents = run.of(quick=20, full=200)
        pairs: dict[Row, list[Pair]] = {MEDIAN: [], TAIL: []}
        async with running(run.folder / "waking") as exchange:
            hub = exchange.site.hub_folder
            async with bare.running(hub, run.folder / "waking-bare") as (_, port):
                for repeat in range(run.repeats):
                    run.tell(f"wake-up: {repeat + 1} of {run.repeats}")
                    steps = await floors_of(exchange, run.folder)
                    crypto = steps["sign"] + 2 * steps["verify"]
                    ours = await latencies(exchange, documents)
                    theirs = [poll + crypto for poll in await _bare_polls(exchange, port, documents)]
                    for row, share in ((MEDIAN, 0.5), (TAIL, 0.99)):
                        pairs[row].append(Pair(percentile(ours, share) * 1000, percentile(theirs, share) * 1000))
        return [Result(row, f"{documents} documents a repeat", tuple(pairs[row])) for row in self.rows]


async def latencies(exchange: Exchange, documents: int, *, priority: int = 0, rest: float = _REST) -> list[float]:
    """Seconds from `submit` to `deliver` of each of `documents`, given to the node one by one, `rest` apart."""
    software = exchange.orders[RECIPIENT]
    await software.arrivals()
    begun: dict[int, float] = {}
    for _ in range(documents):
        await exchange.prepare(1, priority=priority)
        [(number, at, _)] = await exchange.submit(1)
        begun[number] = at
        await asyncio.sleep(rest)
    arrived: dict[int, float] = {}

    def come() -> int:
        return len(arrived)

    async def collect() -> None:
        while len(arrived) < documents:
            arrived.update((number, at) for number, at in await software.arrivals() if number in begun)
            await asyncio.sleep(0.02)

    collecting = asyncio.create_task(collect())
    try:
        await exchange.until(come, documents, "documents")
    finally:
        collecting.cancel()
    return [arrived[number] - at for number, at in begun.items()]


async def _bare_polls(exchange: Exchange, port: int, count: int) -> list[float]:
    """Seconds from ringing to the answered poll, each on a connection that is open."""
    async with open_foundation(NodeFolder(exchange.site.node_folder(SENDER))) as node:
        tls = client_context(node.identity.hub_authority, node.keys.tls_chain, node.keys.tls_key)
    address = f"https://{bare.HOST}:{port}"
    seconds = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=0)) as session:

        async def poll() -> float:
            async with session.get(address + bare.WAIT) as answer:
                await answer.read()
                return time.monotonic()

        for number in range(count + 1):
            polling = asyncio.create_task(poll())
            await asyncio.sleep(0.02)
            begun = time.monotonic()
            async with session.post(address + bare.RING) as answer:
                await answer.read()
            if number:  # the first opened the connections
                seconds.append(await polling - begun)
            else:
                await polling
    return seconds
