"""Documents a second, node to node, against django-pyas2 in the same run.

Ours are signed, durable at both nodes and at the hub between them, over mutual TLS, and end with the signed receipt in
the sender's database; django-pyas2's go straight to the other installation over plain HTTP, and end with the signed MDN
in the sender's database. Both carry the same 10 KiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import ClassVar, Final

from benchmarks import as2
from benchmarks.documents import SIZE
from benchmarks.exchange import Exchange, running
from benchmarks.measurement import Run
from benchmarks.measures.exchanging import batch
from benchmarks.postgres import postgres
from benchmarks.rows import Pair, Result, Row, at_least

_PEER: Final = (
    "django-pyas2 1.2.3, signed, signed synchronous MDN, gunicorn with 2 workers: SQLite or PostgreSQL, the better"
)
EMBEDDED = Row(
    "exchange-embedded",
    "documents of 10 KiB, node to node, with the signed receipt back, embedded",
    "documents/s",
    _PEER,
    at_least(40),
)
WITH_STATUS = Row(
    "exchange-embedded-status",
    "the same, with status 01 of each sent back as well",
    "documents/s",
    _PEER,
)

#: How many processes the peer's sender may be; the best number is found in the run.
_SENDERS: Final = (1, 2, 4)


class Throughput:
    rows: ClassVar[tuple[Row, ...]] = (EMBEDDED, WITH_STATUS)

    async def measure(self, run: Run) -> Sequence[Result]:
        ours, theirs = run.of(quick=400, full=1000), run.of(quick=40, full=300)
        run.tell("exchange: installing django-pyas2, if it is not there")
        python = await as2.installed(run.cache)
        pairs: dict[Row, list[Pair]] = {row: [] for row in self.rows}
        async with AsyncExitStack() as stack:
            server = stack.enter_context(postgres())
            databases = ("", ""), tuple(as2.database(server) for _ in range(2))
            peers = [
                await stack.enter_async_context(as2.running(python, run.folder / f"as2-{number}", SIZE, two))
                for number, two in enumerate(databases)
            ]
            exchanges: dict[Row, Exchange] = {}
            for row in self.rows:
                if run.wants(row):
                    site = running(run.folder / row.name, statuses=row is WITH_STATUS)
                    exchanges[row] = await stack.enter_async_context(site)
            senders = {peer: await _best_number(peer, theirs // 2) for peer in peers}
            for repeat in range(run.repeats):
                run.tell(f"exchange: {repeat + 1} of {run.repeats}")
                reference = max([await peer.send(theirs, senders[peer]) for peer in peers])
                for row, exchange in exchanges.items():
                    done = await batch(exchange, ours, statuses=row is WITH_STATUS)
                    pairs[row].append(Pair(done.rate, reference))
        scale = f"{ours} documents a repeat; {theirs} of the peer's"
        return [Result(row, scale, tuple(measured)) for row, measured in pairs.items() if measured]


async def _best_number(peer: as2.Peer, documents: int) -> int:
    """How many processes of the peer's sender are best, on this machine."""
    rates = {processes: await peer.send(documents, processes) for processes in _SENDERS}
    return max(rates, key=rates.__getitem__)
