"""Replays: a node that was put back to a backup gets again what it closed since, and nobody else's mail."""

from __future__ import annotations

from datetime import timedelta

from hub.settings_exchange import LifetimeSettings
from hub.usecases.balance import Tally, balance_of
from hub.usecases.expiry import Expiry
from hub.usecases.redelivery import Redelivery
from schemas.codes import AgencyCode
from schemas.receipts import ReceiptEvent
from tests.clocks import certain
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node, proofs_of, ref_of, rejection
from transport.wire import EnvelopeEntry, ItemResult, Outcome, OutcomeKind, OutcomeResult, OutcomesRequest, ReceiptEntry


async def consign(node: Node, entry: EnvelopeEntry, *codes: str, mark: int) -> ItemResult:
    """Report a consignment under `mark`."""
    signed = [node.receipt(entry.message_id, "G22", code, ReceiptEvent.CONTENT_CONSIGNMENT) for code in codes]
    outcome = Outcome(
        entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.CONSIGNED, receipts=tuple(map(ref_of, signed))
    )
    request = OutcomesRequest(outcomes=(outcome,), proofs=proofs_of(signed), mark=mark, epoch="epoch-1")
    return (await node.client.report(request)).outcomes[0]


async def received(node: Node, entry: ReceiptEntry, *, mark: int) -> None:
    outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.RECEIVED)
    await node.client.report(OutcomesRequest(outcomes=(outcome,), mark=mark))


async def test_what_was_closed_under_a_later_mark_comes_again_and_the_balance_holds(
    world: World, g22: Node, h23: Node
) -> None:
    """Entries of later marks are offered again, for all their agencies; deliveries stay delivered; repeats end them."""
    first = (await g22.send(document("G22", "H23"))).message_id
    (entry,) = await h23.envelopes()
    await consign(h23, entry, "H23", mark=1)
    second = (await g22.send(document("G22", "H23", "H23.12"))).message_id
    (entry,) = await h23.envelopes()
    # Told of in two parts: each under a mark of its own.
    await consign(h23, entry, "H23", mark=2)
    await consign(h23, entry, "H23.12", mark=3)
    assert (await h23.fetch()).reported == 3
    assert first != second

    answer = await h23.client.replays(1)
    assert (answer.reopened, answer.finished, answer.purged) == (1, True, ())
    assert (await h23.client.replays(1)).reopened == 0, "asked twice, it is offered once"
    (again,) = await h23.envelopes()
    assert (again.message_id, again.recipients) == (second, ("H23", "H23.12"))
    assert (await balance_of(world.database)).overall == Tally(3, 3, 0, 0, 0, 0)
    assert (await consign(h23, again, "H23", "H23.12", mark=4)).result is OutcomeResult.REPEATED
    world.clock.advance(hours=1)
    assert await h23.envelopes() == []
    assert (await balance_of(world.database)).overall == Tally(3, 3, 0, 0, 0, 0)


async def test_what_was_attested_comes_along_to_a_restored_node_alone(g22: Node, h23: Node) -> None:
    """A replayed entry brings its agencies' receipts, byte for byte; an entry that was never closed brings none."""
    sent = (await g22.send(document("G22", "H23"))).message_id
    (entry,) = await h23.envelopes()
    assert entry.receipts == ()
    await consign(h23, entry, "H23", mark=1)
    await h23.hand_over(sent, "G22", "H23")
    told = [receipt.receipt.receipt for receipt in await g22.receipts()]
    await h23.client.replays(0)
    answer = await h23.fetch()
    (again,) = answer.entries
    assert isinstance(again, EnvelopeEntry)
    assert [receipt.receipt for receipt in again.receipts] == told
    assert len(told) == 2
    assert {receipt.proof for receipt in again.receipts} <= set(answer.proofs)


async def test_what_was_refused_is_not_offered_again(world: World, g22: Node, h23: Node) -> None:
    """A refusal that a restored node does not remember stands: for no agency is there anything to take in."""
    sent = (await g22.send(document("G22", "H23"))).message_id
    (entry,) = await h23.envelopes()
    signed = h23.receipt(sent, "G22", "H23", ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE)
    outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.REFUSED, receipts=(ref_of(signed),))
    await h23.client.report(OutcomesRequest(outcomes=(outcome,), proofs=proofs_of([signed]), mark=3))
    answer = await h23.client.replays(0)
    assert (answer.reopened, answer.finished) == (0, True)
    assert await h23.envelopes() == []
    assert (await balance_of(world.database)).overall.refused == 1


async def test_what_is_offered_again_outlasts_the_delivery_that_it_shares_an_entry_with(
    world: World, g22: Node, h23: Node
) -> None:
    """The one that is queued expires; the one that its node lost waits for that node, however late it asks."""
    sent = (await g22.send(document("G22", "H23", "H23.12"))).message_id
    (entry,) = await h23.envelopes()
    await consign(h23, entry, "H23", mark=5)
    await h23.client.replays(1)
    world.clock.advance(days=31)
    assert await h23.envelopes() == [], "for H23.12 it is too late"
    await world.exchange.expiry.run()
    assert (await balance_of(world.database)).overall == Tally(2, 1, 0, 1, 0, 0)
    world.clock.advance(days=100)
    await world.exchange.expiry.run()
    (again,) = await h23.envelopes()
    assert (again.message_id, again.recipients) == (sent, ("H23",))
    assert (await consign(h23, again, "H23", mark=6)).result is OutcomeResult.REPEATED
    assert await world.count("mailbox_entries WHERE open AND receipt IS NULL") == 0


async def test_a_redelivery_to_one_takes_nothing_from_another_that_is_to_get_it_again(
    world: World, g22: Node, h23: Node
) -> None:
    """Refused by one agency and delivered to the other, replayed for this one, redelivered to that one, expired."""
    sent = (await g22.send(document("G22", "H23", "H23.12"))).message_id
    (entry,) = await h23.envelopes()
    await consign(h23, entry, "H23", mark=5)
    await h23.report(entry, "G22", OutcomeKind.REFUSED, codes=("H23.12",))
    await h23.client.replays(1)
    redelivery = Redelivery(world.database, world.clock, LifetimeSettings())
    await redelivery.redeliver(sent, AgencyCode("H23.12"), again=False, reason=None, actor="lan")
    world.clock.advance(days=31)
    await world.exchange.expiry.run()
    assert (await balance_of(world.database)).overall == Tally(2, 1, 0, 1, 0, 0)
    assert [again.recipients for again in await h23.envelopes()] == [("H23",)]


async def test_expiry_in_small_batches_gets_past_what_is_to_be_got_again(world: World, g22: Node, h23: Node) -> None:
    """Batches smaller than what is delivered in front of what is queued still end all of that."""
    await g22.send(document("G22", "H23", "H23.12", "H23.13"))
    (entry,) = await h23.envelopes()
    await consign(h23, entry, "H23", "H23.12", mark=5)
    await h23.client.replays(1)
    world.clock.advance(days=31)
    expiry = world.exchange.expiry
    await Expiry(world.database, expiry._endings, expiry._meters, certain(world.clock), together=1).run()
    assert (await balance_of(world.database)).overall == Tally(3, 2, 0, 1, 0, 0)
    assert [again.recipients for again in await h23.envelopes()] == [("H23", "H23.12")]


async def test_receipts_come_again_to_the_sender_that_lost_them(g22: Node, h23: Node) -> None:
    """A receipt entry that the sender had ended is offered again, byte for byte."""
    await g22.send(document("G22", "H23"))
    (entry,) = await h23.envelopes()
    await consign(h23, entry, "H23", mark=1)
    (receipt,) = await g22.receipts()
    await received(g22, receipt, mark=7)
    assert await g22.receipts() == []
    assert (await g22.client.replays(6)).reopened == 1
    (again,) = await g22.receipts()
    assert again.receipt.receipt == receipt.receipt.receipt


async def test_nobody_opens_or_reads_what_is_anothers(g22: Node, h23: Node, h31: Node) -> None:
    """Replays, the list of what was sent, and envelopes are each connection's own; the rest is not there."""
    sent = (await g22.send(document("G22", "H23"))).message_id
    (entry,) = await h23.envelopes()
    await consign(h23, entry, "H23", mark=5)
    assert (await h31.client.replays(0)).reopened == 0
    assert await h23.envelopes() == []
    assert (await h31.client.sent(since=None, after=0)).messages == ()
    assert (await g22.client.sent(since=None, after=0)).messages == (sent,)
    for digest in (sent, "0" * 64, "none"):
        assert (await rejection(h31.client.envelope(digest))).code == "message-unknown"
    assert await g22.client.envelope(sent) == await h23.client.envelope(sent) == entry.envelope


async def test_a_node_learns_what_it_sent_last_and_since_when(world: World, g22: Node, h23: Node) -> None:
    """The mailbox names the newest message; the list begins where it is told to, and goes on behind a number."""
    first = (await g22.send(document("G22", "H23"))).message_id
    world.clock.advance(hours=1)
    second = (await g22.send(document("G22", "H23"))).message_id
    assert (await g22.fetch()).newest_sent == second
    since = world.clock() - timedelta(minutes=30)
    assert (await g22.client.sent(since=since, after=0)).messages == (second,)
    assert (await g22.client.sent(since=None, after=0)).messages == (first, second)
    assert (await h23.fetch()).newest_sent is None


async def test_a_report_of_an_earlier_epoch_closes_nothing(g22: Node, h23: Node) -> None:
    """Entries are numbered anew after a restore: a report that speaks of the old numbers is for later."""
    await g22.send(document("G22", "H23"))
    (entry,) = await h23.envelopes()
    outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.RELEASED, retry_after=0)
    error = await rejection(h23.client.report(OutcomesRequest(outcomes=(outcome,), epoch="epoch-0")))
    assert error.code == "epoch-changed"
    assert await h23.envelopes() == [], "the lease still runs"
