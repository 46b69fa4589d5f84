"""The memory of many nodes that wait in long polls, against a bare server under the same TLS and event loop.

Every node is a connection of its own, with a certificate of its own that the hub knows; they are simulated in processes
beside. Hub and bare server are started afresh for each repeat, asked by the same nodes in the same way, and their
memory is read when all wait. What the hub's processor is for while nothing comes is told beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from sqlalchemy import Connection

from benchmarks import bare
from benchmarks.exchange import MEMBERS
from benchmarks.machine import memory, processor_seconds
from benchmarks.measurement import Run
from benchmarks.rows import Pair, Result, Row, at_most
from certs.keys import fingerprint, new_p256_key, write_certificates, write_key
from congvan.demo.site import Site
from hub.foundation import open_foundation
from hub.settings import HubFolder
from hub.store import connections
from schemas.errors import Unavailable
from schemas.limits import KIB, MIB
from transport import paths

_BARE: Final = "a bare aiohttp server, same TLS and event loop, as many waiting requests"
MEMORY = Row("waiting", "10,000 nodes waiting in long polls: memory of the hub's process", "MiB", _BARE, at_most(2))
EACH = Row("waiting-each", "what one of them adds to it", "KiB", _BARE)
PROCESSOR = Row(
    "waiting-processor", "the hub's processor time while they wait and nothing comes", "ms/s", "one processor"
)

#: How many nodes one process simulates: each has a file descriptor, and a process may have 20,000 or fewer.
_PER_PROCESS: Final = 2500

_SETTINGS: Final = {"CONGVAN_HUB__EXCHANGE__MAILBOX__WAIT_SECONDS": "600"}
_POLL: Final = f"{paths.MAILBOX}?wait=600&limit=32"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Memory before anybody came and while all wait, in bytes; the processor's seconds in a second of waiting."""

    nodes: int
    empty: int
    full: int
    processor: float

    @property
    def each(self) -> float:
        return (self.full - self.empty) / self.nodes


class WaitingNodes:
    rows: ClassVar[tuple[Row, ...]] = (MEMORY, EACH, PROCESSOR)

    async def measure(self, run: Run) -> Sequence[Result]:
        nodes = run.of(quick=500, full=10_000)
        # For so long all wait before memory is read, and the processor's time in it.
        seconds = run.of(quick=3, full=10)
        allow_descriptors(nodes + 1000)
        folder = run.folder / "waiting"
        folder.mkdir()
        site = Site(folder, MEMBERS[:1], environment=_SETTINGS)
        await site.set_up()
        await site.hub.stop()
        chains = await enrolled(site, folder / "nodes", nodes)
        pairs: dict[Row, list[Pair]] = {row: [] for row in self.rows}
        for repeat in range(run.repeats):
            run.tell(f"{nodes:,} waiting nodes: {repeat + 1} of {run.repeats}")
            await site.start_hub()
            try:
                ours = await _waiting(site, chains, site.hub.pid, site.port, _POLL, seconds=seconds)
            finally:
                await site.stop()
            async with bare.running(site.hub_folder, folder / "bare") as (program, port):
                theirs = await _waiting(site, chains, program.pid, port, bare.WAIT, seconds=seconds)
            pairs[MEMORY].append(Pair(ours.full / MIB, theirs.full / MIB))
            pairs[EACH].append(Pair(ours.each / KIB, theirs.each / KIB))
            pairs[PROCESSOR].append(Pair(ours.processor * 1000, 1000))
        return [Result(row, f"{nodes:,} nodes", tuple(pairs[row])) for row in self.rows]


def allow_descriptors(most: int) -> None:
    """Every program that is started from here may have as many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < most:
        if hard != resource.RLIM_INFINITY and hard < most:
            raise Unavailable("descriptors", f"The row needs {most} open files; {hard} are allowed (ulimit -Hn).")
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def enrolled(site: Site, folder: Path, nodes: int) -> list[Path]:
    """Certificates of `nodes` connections that the hub knows. One key serves all: keys are not what is measured."""
    folder.mkdir()
    key = new_p256_key()
    write_key(folder / "node.key", key, None)
    now = datetime.now(UTC)
    async with open_foundation(HubFolder(site.hub_folder)) as hub:
        authority = hub.keys.authority
        write_certificates(folder / "authority.pem", [authority.root])

        def issued() -> list[tuple[str, str]]:
            made = []
            for number in range(nodes):
                chain = authority.issue_client(key.public_key(), f"node-{number}", now)
                write_certificates(folder / f"{number}.pem", chain)
                made.append((f"node-{number}", fingerprint(chain[0])))
            return made

        known = await asyncio.to_thread(issued)

        def enter(transaction: Connection) -> None:
            for connection, digest in known:
                connections.add(transaction, connection, connection, at=now)
                connections.replace_client(
                    transaction, connection, digest, not_after=now + authority.lifetimes.client, at=now
                )

        await hub.database.write(enter)
    return [folder / f"{number}.pem" for number in range(nodes)]


async def _waiting(site: Site, chains: Sequence[Path], pid: int, port: int, path: str, *, seconds: float) -> Waiting:
    """Let every node ask the server `pid` at `port` for `path`, and read what that costs it."""
    empty = memory(pid)
    async with _asking(site, chains, port, path):
        before = processor_seconds(pid)
        await asyncio.sleep(seconds)
        return Waiting(len(chains), empty, memory(pid), (processor_seconds(pid) - before) / seconds)


@contextlib.asynccontextmanager
async def _asking(site: Site, chains: Sequence[Path], port: int, path: str) -> AsyncIterator[None]:
    """Processes of simulated nodes, each of which has asked for `path` and waits."""
    folder = chains[0].parent
    pipe = asyncio.subprocess.PIPE
    processes = []
    try:
        for first in range(0, len(chains), _PER_PROCESS):
            order = folder / f"order-{first}.json"
            order.write_text(
                json.dumps(
                    {
                        "host": bare.HOST,
                        "port": port,
                        "name": site.host,
                        "path": path,
                        "authority": str(folder / "authority.pem"),
                        "key": str(folder / "node.key"),
                        "chains": [str(chain) for chain in chains[first : first + _PER_PROCESS]],
                    }
                )
            )
            processes.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "benchmarks.pollers", str(order),
                    stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[2],
                )
            )  # fmt: skip
        for process in processes:
            assert process.stdout is not None
            said = await process.stdout.readline()
            if said != b"waiting\n":
                raise Unavailable("pollers-failed", f"The simulated nodes do not wait: {said.decode()!r}.")
        yield
        for process in processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            if left := await process.stdout.read():
                raise Unavailable("pollers-failed", f"The simulated nodes did not wait on: {left.decode()!r}.")
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
