"""Four hub processes against one: what the hub's processes use of the processors for a document.

Both hubs keep their state in PostgreSQL and have RabbitMQ between their processes; they are measured by turns. What the
database server and the broker use is not in the figure. What the hubs use while nothing comes is: it is measured before
each repeat for a row of its own, and on a slow or busy machine it is most of the difference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import ClassVar, Final

from benchmarks.documents import SIZE
from benchmarks.exchange import Exchange, running
from benchmarks.measurement import Run
from benchmarks.measures.exchanging import batch
from benchmarks.postgres import postgres
from benchmarks.rows import Pair, Result, Row, at_most
from tests.services.rabbitmq import RabbitMQ

FOUR = Row(
    "processes-four",
    "four hub processes: processor time for a document, whole way",
    "ms",
    "one process, likewise on PostgreSQL with RabbitMQ",
    at_most(1.15),
)
IDLE = Row(
    "processes-idle",
    "four hub processes: processor time while nothing comes",
    "ms/s",
    "one process, likewise",
)

_WORKERS: Final = (1, 4)

#: Seconds without any document: the rounds of a process come every one to five.
_SILENCE: Final = 4.0


class Processes:
    rows: ClassVar[tuple[Row, ...]] = (FOUR, IDLE)

    async def measure(self, run: Run) -> Sequence[Result]:
        documents = run.of(quick=200, full=1000)
        folder = run.folder / "processes"
        folder.mkdir()
        async with AsyncExitStack() as stack:
            server = stack.enter_context(postgres())
            exchanges: dict[int, Exchange] = {}
            for workers in _WORKERS:
                # A broker for each: a vhost is one hub's own.
                broker = stack.enter_context(RabbitMQ(folder / f"rabbitmq-{workers}"))
                database = server.settings(server.create_database(), folder / f"{workers}.password")
                site = running(
                    folder / f"hub-{workers}", hub_database=database, settings=_settings(broker), workers=workers
                )
                exchanges[workers] = await stack.enter_async_context(site)
                # Each process is asked before it is measured: what it does when it is first asked is no document's.
                await batch(exchanges[workers], documents)
            pairs, silent = [], []
            for repeat in range(run.repeats):
                run.tell(f"processes: {repeat + 1} of {run.repeats}")
                idle = dict(zip(_WORKERS, await asyncio.gather(*map(_idle, exchanges.values())), strict=True))
                one, four = [(await batch(exchanges[workers], documents)).milliseconds("hub") for workers in _WORKERS]
                pairs.append(Pair(four, one))
                silent.append(Pair(idle[4] * 1000, idle[1] * 1000))
        return [
            Result(FOUR, f"{documents} documents of {SIZE // 1024} KiB a repeat", tuple(pairs)),
            Result(IDLE, f"{_SILENCE:g} s a repeat", tuple(silent)),
        ]


async def _idle(exchange: Exchange) -> float:
    """Seconds of the processors that the hub uses in a second without documents."""
    before, began = exchange.processors()["hub"], time.monotonic()
    await asyncio.sleep(_SILENCE)
    return (exchange.processors()["hub"] - before) / (time.monotonic() - began)


def _settings(broker: RabbitMQ) -> Mapping[str, str]:
    return {
        "CONGVAN_HUB__BROKER__URL": broker.url,
        "CONGVAN_HUB__BROKER__PASSWORD_FILE": str(broker.password_file),
    }
