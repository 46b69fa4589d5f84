"""The hub's processor time for a document that it accepts, against the floor of what accepting is.

A hub runs as a process of its own. A sender's node brings documents that were sealed before, over mutual TLS, as many
to a request as a node sends; the recipient's node is away. What the hub used meanwhile, divided by the documents, is
the figure: TLS, HTTP, judgement, the acknowledgement's signature, the commit and the first deliveries are all in it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.documents import SIZE, sealed
from benchmarks.exchange import MEMBERS
from benchmarks.floors import Floors, accepting
from benchmarks.machine import processor_seconds
from benchmarks.measurement import Run
from benchmarks.rows import Pair, Result, Row, at_most
from certs.sealing_key import SealingKey
from congvan.demo.site import Site
from node.foundation import open_foundation
from node.settings import NodeFolder
from schemas.errors import CongvanError
from transport.batches import MOST, BroughtSubmission
from transport.client import HubClient

ACCEPT = Row(
    "hub-processor",
    "hub: processor time for an accepted document",
    "ms",
    "floor: parse, XSD, C14N, SHA-256, RSA verify, a row of a commit of 16",
    at_most(8),
)

#: As many documents as a node with many to send brings in a request; the next ones are there meanwhile.
_TOGETHER = MOST
_PARALLEL = 2


class HubProcessor:
    rows: ClassVar[tuple[Row, ...]] = (ACCEPT,)

    async def measure(self, run: Run) -> Sequence[Result]:
        folder = run.folder / "hub-processor"
        folder.mkdir()
        documents = run.of(quick=200, full=1000)
        site = Site(folder, MEMBERS)
        await site.set_up()
        try:
            pairs = await _pairs(run, site, folder, documents)
        finally:
            await site.stop()
        return [Result(ACCEPT, f"{documents} documents of {SIZE // 1024} KiB a repeat", tuple(pairs))]


async def _pairs(run: Run, site: Site, folder: Path, documents: int) -> list[Pair]:
    pairs = []
    async with open_foundation(NodeFolder(site.node_folder(MEMBERS[0].code))) as node, node.hub_client() as client:
        key = node.identity.seal
        for repeat in range(run.repeats + 1):
            run.tell(f"{ACCEPT.name}: {repeat} of {run.repeats}")
            first = repeat * documents
            submissions = [_submission(number, key) for number in range(first, first + documents)]
            floors = Floors(submissions[0].envelope, key.private_key, folder).measure()  # type: ignore[arg-type]  # RSA
            before = processor_seconds(site.hub.pid)
            await _submit(client, submissions)
            used = (processor_seconds(site.hub.pid) - before) / documents
            if repeat:  # the first one warmed up
                pairs.append(Pair(used * 1000, accepting(floors) * 1000))
    return pairs


def _submission(number: int, key: SealingKey) -> BroughtSubmission:
    attachment = os.urandom(SIZE)
    return BroughtSubmission(sealed(number, key, attachment), (attachment,))


async def _submit(client: HubClient, submissions: Sequence[BroughtSubmission]) -> None:
    waiting = iter([submissions[at : at + _TOGETHER] for at in range(0, len(submissions), _TOGETHER)])

    async def one_after_the_other() -> None:
        for batch in waiting:
            answers = await client.submit_all(batch)
            if any(isinstance(answer, CongvanError) or answer.uploads for answer in answers):
                raise ValueError("the hub did not accept a document")

    await asyncio.gather(*(one_after_the_other() for _ in range(_PARALLEL)))
