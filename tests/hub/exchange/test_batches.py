"""Batches: what waits together is committed together, and what comes alone waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event

from schemas.receipts import ReceiptEvent
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node, proofs_of, ref_of
from tests.services.columns import engines
from transport.wire import EnvelopeEntry, Outcome, OutcomeKind, OutcomeResult, OutcomesRequest, SubmissionState

TOGETHER = 64


@contextmanager
def _commits(world: World) -> Iterator[list[int]]:
    """The number of commits that the database makes inside, one item for each."""
    made: list[int] = []

    def note(_connection: Connection) -> None:
        made.append(len(made))

    _, writer = engines(world.database)
    event.listen(writer, "commit", note)
    try:
        yield made
    finally:
        event.remove(writer, "commit", note)


async def test_one_submission_to_an_idle_hub_costs_one_commit(world: World, g22: Node, h23: Node) -> None:
    """Message, acknowledgement, deliveries and mailbox entries are one transaction, and nothing waits for company."""
    with _commits(world) as made:
        await g22.send(document("G22", "H23", "H23.12"))
    assert len(made) == 1


async def test_submissions_that_come_together_are_committed_together(world: World, g22: Node, h23: Node) -> None:
    """64 submissions under way at once, over 16 connections as a node has them, take far fewer commits than 64."""
    sealed = [g22.seal(document("G22", "H23")).data for _ in range(TOGETHER)]
    places = asyncio.Semaphore(world.exchange.settings.submissions.parallel)

    async def submit(data: bytes) -> SubmissionState:
        async with places:
            return (await g22.client.submit(data, {})).state

    with _commits(world) as made:
        states = await asyncio.gather(*map(submit, sealed))
    assert set(states) == {SubmissionState.ACCEPTED}
    assert len(made) <= TOGETHER / 2


async def test_a_batch_is_fetched_and_reported_in_one_transaction_each(world: World, g22: Node, h23: Node) -> None:
    """One fetch leases many envelopes with one commit, and one report settles all of them with another."""
    for _ in range(20):
        await g22.send(document("G22", "H23"))
    with _commits(world) as made:
        fetched = [entry for entry in (await h23.fetch()).entries if isinstance(entry, EnvelopeEntry)]
    assert (len(fetched), len(made)) == (20, 1)
    signed = [h23.receipt(entry.message_id, "G22", "H23", ReceiptEvent.CONTENT_CONSIGNMENT) for entry in fetched]
    report = OutcomesRequest(
        outcomes=tuple(
            Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.CONSIGNED, receipts=(ref_of(each),))
            for entry, each in zip(fetched, signed, strict=True)
        ),
        proofs=proofs_of(signed),
    )
    with _commits(world) as made:
        answer = await h23.client.report(report)
    assert {result.result for result in answer.outcomes} == {OutcomeResult.RECORDED}
    assert len(made) == 1
