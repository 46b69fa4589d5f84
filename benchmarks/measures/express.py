"""Express documents past a backlog, against the same on an idle system.

The recipient's node is stopped while its mailbox fills with ordinary documents; then it starts, and while it works the
backlog off, express documents are given to the sender's node one by one. The figure is their time from the software's
`submit` to the other software's `deliver`. The idle times are measured just before, in the same way. A machine that
works the backlog off before the express documents are through gets one twice as long, and measures anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from benchmarks.documents import RECIPIENT
from benchmarks.exchange import Exchange, running
from benchmarks.measurement import Run
from benchmarks.measures.waking import latencies
from benchmarks.rows import Pair, Result, Row, at_most, percentile
from benchmarks.software import Orders
from node.settings import NodeFolder
from schemas.errors import Unavailable
from schemas.message import Priority

_IDLE: Final = "the same on an idle system, p99"
TAIL = Row("express", "express document past a backlog of 20,000: submit to arrival, p99", "ms", _IDLE, at_most(2))
MEDIAN = Row("express-p50", "the same, p50", "ms", "the same on an idle system, p50")

_EXPRESS: Final = int(Priority.EXPRESS)

#: How often the backlog is made twice as long, at most, for a machine that is too fast for it.
_DOUBLINGS: Final = 5


class Express:
    rows: ClassVar[tuple[Row, ...]] = (TAIL, MEDIAN)

    async def measure(self, run: Run) -> Sequence[Result]:
        backlog, documents = run.of(quick=500, full=20_000), run.of(quick=10, full=100)
        pairs: dict[Row, list[Pair]] = {row: [] for row in self.rows}
        async with running(run.folder / "express") as exchange:
            first, longest = backlog, backlog * 2**_DOUBLINGS
            for repeat in range(run.repeats):
                while True:
                    run.tell(f"express: {repeat + 1} of {run.repeats}, {backlog:,} documents before it")
                    idle = await latencies(exchange, documents, priority=_EXPRESS)
                    await _pile_up(exchange, backlog)
                    past = await latencies(exchange, documents, priority=_EXPRESS)
                    has_lasted = exchange.receipts.look() < exchange.sent
                    await exchange.until(exchange.handed_over.look, exchange.sent, "receipts of the backlog")
                    if has_lasted:
                        break
                    backlog = longer(backlog, longest)
                for row, share in ((TAIL, 0.99), (MEDIAN, 0.5)):
                    pairs[row].append(Pair(percentile(past, share) * 1000, percentile(idle, share) * 1000))
        before = f"{backlog:,}" if backlog == first else f"{first:,} to {backlog:,}"
        scale = f"{before} documents before, {documents} express documents a repeat"
        return [Result(row, scale, tuple(pairs[row])) for row in self.rows]


async def _pile_up(exchange: Exchange, documents: int) -> None:
    """Have so many documents wait in the recipient's mailbox, and its node start upon them."""
    node = exchange.site.nodes[RECIPIENT]
    exchange.orders[RECIPIENT].close()
    await node.stop()
    await exchange.prepare(documents, size=1024)
    await exchange.submit()
    await exchange.until(exchange.accepted.look, exchange.sent, "acceptances")
    await node.start()
    adapter = NodeFolder(exchange.site.node_folder(RECIPIENT)).adapter("filedrop")
    exchange.orders[RECIPIENT] = await Orders.to(adapter)


def longer(backlog: int, longest: int) -> int:
    """The next backlog to try where `backlog` was worked off before the express documents were through: they must have
    passed something.

    Raises Unavailable (`backlog-gone`) above `longest`.
    """
    if backlog * 2 > longest:
        raise Unavailable(
            "backlog-gone", f"{backlog:,} documents were worked off before the express ones were through."
        )
    return backlog * 2
