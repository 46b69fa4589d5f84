"""Documents from node to node: how many a second, and what each program's processor time is for one.

A hub and two nodes run as processes of their own, with the agencies' software as an adapter in each node. The sender's
software gives its node documents of 10 KiB, many at a time; the clock ends when the signed receipt of consignment of
the last one is in the sender's database. What each program used meanwhile is read from /proc.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.documents import RECIPIENT, SENDER, SIZE, sealed
from benchmarks.exchange import Exchange, running
from benchmarks.floors import Floors, accepting, sealing
from benchmarks.measurement import Run
from benchmarks.rows import Pair, Result, Row, at_most
from node.foundation import open_foundation
from node.settings import NodeFolder

_STEPS = "parse, XSD, C14N, SHA-256, RSA {}, a row of a commit of 16"

SENT = Row(
    "node-processor-sent",
    "node: processor time for a document sent, until its receipts are in",
    "ms",
    "floor: " + _STEPS.format("sign"),
    at_most(8),
)
RECEIVED = Row(
    "node-processor-received",
    "node: processor time for a document received and handed over",
    "ms",
    "floor: " + _STEPS.format("verify"),
    at_most(8),
)
PASSED = Row(
    "hub-processor-whole-way",
    "hub: processor time for a document accepted, handed out and receipted",
    "ms",
    "floor: " + _STEPS.format("verify"),
)

#: How many documents the software gives to its node at once: an agency that has many to send does not count them out.
_AT_ONCE: Final = 128


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of documents, from the first submission to the last receipt.

    `used`: seconds of the processors that each program used for it, hand-overs included.
    """

    documents: int
    seconds: float
    used: Mapping[str, float]

    @property
    def rate(self) -> float:
        return self.documents / self.seconds

    def milliseconds(self, program: str) -> float:
        """What `program` used for a document."""
        return self.used[program] / self.documents * 1000


async def batch(exchange: Exchange, documents: int, *, statuses: bool = False) -> Batch:
    """Send `documents` and wait for their receipts, and for status 01 of each if the nodes send it."""
    await exchange.prepare(documents)
    before = exchange.processors()
    started = time.monotonic()
    await exchange.submit(_AT_ONCE)
    ended = await exchange.until(exchange.receipts.look, exchange.sent, "receipts")
    if statuses:
        ended = await exchange.until(exchange.statuses.look, exchange.sent, "statuses")
    # Hand-overs and their receipts belong to what a document costs.
    await exchange.until(exchange.handed_over.look, exchange.sent, "receipts of hand-over")
    after = exchange.processors()
    used = {name: after[name] - before[name] for name in after}
    return Batch(documents, ended - started, used)


class ProcessorTime:
    rows: ClassVar[tuple[Row, ...]] = (SENT, RECEIVED, PASSED)

    async def measure(self, run: Run) -> Sequence[Result]:
        documents = run.of(quick=200, full=1000)
        batches: list[Batch] = []
        floors: list[Mapping[str, float]] = []
        async with running(run.folder / "processor-time") as exchange:
            for repeat in range(run.repeats):
                run.tell(f"processor time of the programs: {repeat + 1} of {run.repeats}")
                floors.append(await floors_of(exchange, run.folder))
                batches.append(await batch(exchange, documents))
        scale = f"{documents} documents of {SIZE // 1024} KiB a repeat"
        figures = {
            SENT: (f"node-{SENDER}", sealing),
            RECEIVED: (f"node-{RECIPIENT}", accepting),
            PASSED: ("hub", accepting),
        }
        return [
            Result(row, scale, tuple(
                Pair(each.milliseconds(program), floor(steps) * 1000)
                for each, steps in zip(batches, floors, strict=True)
            ))
            for row, (program, floor) in figures.items()
        ]  # fmt: skip


async def floors_of(exchange: Exchange, folder: Path) -> Mapping[str, float]:
    """The floors, with an envelope and a key of the sender's node."""
    async with open_foundation(NodeFolder(exchange.site.node_folder(SENDER))) as node:
        key = node.identity.seal
    return Floors(sealed(0, key, bytes(SIZE)), key.private_key, folder).measure()  # type: ignore[arg-type]  # RSA
