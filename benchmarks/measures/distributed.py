"""The distributed column against the embedded one: documents a second, node to node, by turns.

The hub of the distributed column keeps its state in PostgreSQL and its attachments on S3-compatible storage, SeaweedFS,
with RabbitMQ for its work; all three run beside it on this machine and use its processors and its disk. The agencies'
nodes are the same on both sides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import ClassVar

from benchmarks.documents import SIZE
from benchmarks.exchange import running
from benchmarks.measurement import Run
from benchmarks.measures.exchanging import batch
from benchmarks.postgres import postgres
from benchmarks.rows import Pair, Result, Row, at_least
from tests.services.rabbitmq import RabbitMQ
from tests.services.seaweedfs import BUCKET, SeaweedFs

RATE = Row(
    "exchange-distributed",
    "documents of 10 KiB, node to node, with the signed receipt back: PostgreSQL, RabbitMQ, S3",
    "documents/s",
    "the same, embedded",
    at_least(0.6),
)


class Distributed:
    rows: ClassVar[tuple[Row, ...]] = (RATE,)

    async def measure(self, run: Run) -> Sequence[Result]:
        documents = run.of(quick=200, full=1000)
        folder = run.folder / "distributed-services"
        folder.mkdir()
        pairs = []
        async with AsyncExitStack() as stack:
            server = stack.enter_context(postgres())
            broker = stack.enter_context(RabbitMQ(folder / "rabbitmq"))
            storage = SeaweedFs(folder / "seaweedfs")
            await asyncio.to_thread(storage.start)
            stack.callback(storage.stop)
            storage.make_bucket(BUCKET)
            blobs = storage.settings(folder, "hub")
            settings = {
                "CONGVAN_HUB__BROKER__URL": broker.url,
                "CONGVAN_HUB__BROKER__PASSWORD_FILE": str(broker.password_file),
                "CONGVAN_HUB__BLOBS__URL": blobs.url,
                "CONGVAN_HUB__BLOBS__ENDPOINT": blobs.endpoint,
                "CONGVAN_HUB__BLOBS__CREDENTIALS_FILE": str(blobs.credentials_file),
            }
            database = server.settings(server.create_database(), folder / "postgres.password")
            ours = await stack.enter_async_context(
                running(run.folder / "distributed", hub_database=database, settings=settings)
            )
            embedded = await stack.enter_async_context(running(run.folder / "embedded"))
            for repeat in range(run.repeats):
                run.tell(f"distributed: {repeat + 1} of {run.repeats}")
                reference = (await batch(embedded, documents)).rate
                pairs.append(Pair((await batch(ours, documents)).rate, reference))
        return [Result(RATE, f"{documents} documents of {SIZE // 1024} KiB a repeat", tuple(pairs))]
