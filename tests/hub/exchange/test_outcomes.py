"""Outcomes: what a node's report does to deliveries, and the receipts that reach the sender."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from certs.receipts import ReceiptTrust, verify_receipt
from certs.trust import SignerBinding, Trust, TrustAnchor
from hub.usecases.balance import Tally, balance_of
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.receipts import ReceiptEvent, SignedReceipt
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import NOW, Node, proofs_of, ref_of
from transport.wire import EnvelopeEntry, Outcome, OutcomeKind, OutcomeResult, OutcomesRequest


async def _entry(g22: Node, node: Node, *codes: str) -> EnvelopeEntry:
    await g22.send(document("G22", *codes))
    (entry,) = await node.envelopes()
    return entry


async def test_a_consigned_envelope_is_delivered_and_its_receipt_reaches_the_sender(
    world: World, g22: Node, h23: Node
) -> None:
    """The recipient's receipt comes to the sender's mailbox, byte for byte, and proves the consignment."""
    entry = await _entry(g22, h23, "H23")
    assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED
    answer = await g22.fetch()
    (forwarded,) = answer.entries
    assert forwarded.kind == "receipt"
    signed = SignedReceipt(forwarded.receipt.receipt, answer.proofs[forwarded.receipt.proof])
    binding = SignerBinding(AgencyCode("H23"), EntryStatus.ACTIVE, frozenset({h23.key.fingerprint}))
    trust = Trust((TrustAnchor(world.authority.root, ("",)),), {AgencyCode("H23"): binding}.get)
    receipt = verify_receipt(signed, ReceiptTrust((), trust), NOW).value
    assert (receipt.event, receipt.message_id) == (ReceiptEvent.CONTENT_CONSIGNMENT, entry.message_id)
    assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)


async def test_a_sender_that_waits_is_told_at_once(g22: Node, h23: Node) -> None:
    """The receipt answers the sender's waiting poll."""
    entry = await _entry(g22, h23, "H23")
    waiting = asyncio.create_task(g22.fetch(wait=50))
    await asyncio.sleep(0.05)
    await h23.report(entry, "G22")
    assert len((await asyncio.wait_for(waiting, 10)).entries) == 1


async def test_a_receipt_entry_ends_when_it_was_received(world: World, g22: Node, h23: Node) -> None:
    """A receipt comes until the sender's node says that it has it; saying so twice does no harm."""
    await h23.report(await _entry(g22, h23, "H23"), "G22")
    (entry,) = await g22.receipts()
    world.clock.advance(seconds=60)
    assert [again.entry for again in await g22.receipts()] == [entry.entry]
    assert (await g22.received(entry)).result is OutcomeResult.RECORDED
    assert (await g22.received(entry)).result is OutcomeResult.REPEATED
    world.clock.advance(days=1)
    assert await g22.receipts() == []


async def test_a_repeated_report_changes_nothing(world: World, g22: Node, h23: Node) -> None:
    """A node that heard no answer reports again: one delivery, one receipt to the sender."""
    entry = await _entry(g22, h23, "H23")
    assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED
    assert (await h23.report(entry, "G22")).result is OutcomeResult.REPEATED
    assert len(await g22.receipts()) == 1


async def test_an_outcome_told_twice_in_one_report_counts_once(g22: Node, h23: Node) -> None:
    """The second of two equal outcomes in one request is a repeat."""
    entry = await _entry(g22, h23, "H23")
    signed = h23.receipt(entry.message_id, "G22", "H23", ReceiptEvent.CONTENT_CONSIGNMENT)
    outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.CONSIGNED, receipts=(ref_of(signed),))
    answer = await h23.client.report(OutcomesRequest(outcomes=(outcome, outcome), proofs=proofs_of([signed])))
    assert [item.result for item in answer.outcomes] == [OutcomeResult.RECORDED, OutcomeResult.REPEATED]
    assert len(await g22.receipts()) == 1


async def test_a_consignment_counts_from_a_lease_that_is_over(world: World, g22: Node, h23: Node) -> None:
    """The document is durably at its recipient, whoever holds the entry by now."""
    entry = await _entry(g22, h23, "H23")
    world.clock.advance(seconds=60)
    await h23.envelopes()
    assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED


@pytest.mark.parametrize("kind", [OutcomeKind.REFUSED, OutcomeKind.RELEASED])
async def test_a_refusal_and_a_release_need_the_current_lease(
    kind: OutcomeKind, world: World, g22: Node, h23: Node
) -> None:
    """Who lost its lease to another may neither refuse nor release what the other works on."""
    entry = await _entry(g22, h23, "H23")
    world.clock.advance(seconds=60)
    (current,) = await h23.envelopes()
    assert (await _tell(h23, entry, kind)).result is OutcomeResult.STALE
    assert (await _tell(h23, current, kind)).result is OutcomeResult.RECORDED


async def _tell(node: Node, entry: EnvelopeEntry, kind: OutcomeKind, **more: object):
    if kind is OutcomeKind.REFUSED:
        return await node.report(entry, "G22", kind)
    outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=kind, **more)
    return (await node.client.report(OutcomesRequest(outcomes=(outcome,)))).outcomes[0]


async def test_a_refused_envelope_tells_its_sender_why(world: World, g22: Node, h23: Node) -> None:
    """The refusal ends the delivery, its reason stands in the trace, its receipt comes to the sender."""
    entry = await _entry(g22, h23, "H23")
    assert (await h23.report(entry, "G22", OutcomeKind.REFUSED)).result is OutcomeResult.RECORDED
    assert (await h23.report(entry, "G22", OutcomeKind.REFUSED)).result is OutcomeResult.REPEATED
    (delivery,) = (await g22.client.message(entry.message_id)).deliveries
    assert (delivery.state, delivery.last_error) == ("refused", "seal-digest: Nội dung đã bị thay đổi")
    assert len(await g22.receipts()) == 1


async def test_a_final_delivery_does_not_turn_round(g22: Node, h23: Node) -> None:
    """What was refused is not consigned afterwards, nor what was consigned refused."""
    await g22.send(document("G22", "H23"))
    await g22.send(document("G22", "H23"))
    first, second = await h23.envelopes()
    await h23.report(first, "G22", OutcomeKind.REFUSED)
    await h23.report(second, "G22")
    for entry, kind in ((first, OutcomeKind.CONSIGNED), (second, OutcomeKind.REFUSED)):
        result = await h23.report(entry, "G22", kind)
        assert (result.result, result.code) == (OutcomeResult.REFUSED, "delivery-final")


async def test_a_released_entry_comes_again_when_it_was_asked_for(world: World, g22: Node, h23: Node) -> None:
    """A release gives the entry back until the time that the node names, and the trace says why."""
    entry = await _entry(g22, h23, "H23")
    result = await _tell(h23, entry, OutcomeKind.RELEASED, retry_after=120.0, reason="the clock is wrong")
    assert result.result is OutcomeResult.RECORDED
    (delivery,) = (await g22.client.message(entry.message_id)).deliveries
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("queued", 1, "the clock is wrong")
    world.clock.advance(seconds=119)
    assert await h23.envelopes() == []
    world.clock.advance(seconds=1)
    assert [again.entry for again in await h23.envelopes()] == [entry.entry]


async def test_a_release_forgets_the_lapses_before_it(world: World, g22: Node, h23: Node) -> None:
    """A node that hands an entry back is alive: the entry comes with others again, for a lease of the usual length."""
    await _entry(g22, h23, "H23")
    world.clock.advance(seconds=60)
    (lapsed,) = await h23.envelopes()
    await _tell(h23, lapsed, OutcomeKind.RELEASED, retry_after=0.0)
    await g22.send(document("G22", "H23"))
    again = await h23.envelopes()
    assert len(again) == 2
    assert {(entry.leased_until - world.clock()).total_seconds() for entry in again} == {60}


@pytest.mark.parametrize("seconds", [-5.0, 1e18])
async def test_a_release_is_bounded(seconds: float, world: World, g22: Node, h23: Node) -> None:
    """No node keeps a delivery away for longer than an hour, or asks for the past."""
    await _tell(h23, await _entry(g22, h23, "H23"), OutcomeKind.RELEASED, retry_after=seconds)
    world.clock.advance(hours=1)
    assert len(await h23.envelopes()) == 1


async def test_codes_of_one_entry_can_end_apart(world: World, g22: Node, h23: Node) -> None:
    """An entry for several agencies stays for those of which nothing is known yet."""
    entry = await _entry(g22, h23, "H23", "H23.12", "H23.13")
    assert (await h23.report(entry, "G22", codes=("H23", "H23.13"))).result is OutcomeResult.RECORDED
    world.clock.advance(seconds=60)
    (left,) = await h23.envelopes()
    assert left.recipients == ("H23.12",)
    assert (await h23.report(left, "G22", OutcomeKind.REFUSED)).result is OutcomeResult.RECORDED
    assert (await balance_of(world.database)).overall == Tally(3, 2, 1, 0, 0, 0)


async def test_handovers_are_stored_once_and_forwarded(g22: Node, h23: Node) -> None:
    """A later receipt of a consigned message reaches the sender, once."""
    entry = await _entry(g22, h23, "H23")
    await h23.report(entry, "G22")
    assert (await h23.hand_over(entry.message_id, "G22", "H23")).receipts[0].result is OutcomeResult.RECORDED
    assert (await h23.hand_over(entry.message_id, "G22", "H23")).receipts[0].result is OutcomeResult.REPEATED
    assert len(await g22.receipts()) == 2


async def test_an_entry_of_another_connection_is_unknown(g22: Node, h23: Node, h31: Node) -> None:
    """Nobody settles what was handed to another, nor learns that it exists."""
    entry = await _entry(g22, h23, "H23")
    for number in (entry.entry, 999_999):
        strange = entry.model_copy(update={"entry": number})
        result = await h31.report(strange, "G22", codes=("H31",))
        assert result.result is OutcomeResult.UNKNOWN
    assert (await h31.hand_over(entry.message_id, "G22", "H31")).receipts[0].result is OutcomeResult.UNKNOWN
    assert (await h31.hand_over("0" * 64, "G22", "H31")).receipts[0].result is OutcomeResult.UNKNOWN


async def test_a_receipt_of_another_connections_delivery_is_not_taken(g22: Node, h23: Node, h31: Node) -> None:
    """A genuine receipt counts when the node that serves its agency reports it."""
    entry = await _entry(g22, h23, "H23", "H31")
    signed = h23.receipt(entry.message_id, "G22", "H23", ReceiptEvent.CONTENT_HANDOVER)
    request = OutcomesRequest(receipts=(ref_of(signed),), proofs=proofs_of([signed]))
    assert (await h31.client.report(request)).receipts[0].result is OutcomeResult.UNKNOWN
    assert (await h23.client.report(request)).receipts[0].result is OutcomeResult.RECORDED


class TestReceiptsThatDoNotHold:
    """A receipt is believed only if the party that it names signed it, of this message and this event."""

    async def _refused(self, node: Node, entry: EnvelopeEntry, signed: SignedReceipt, code: str, **proofs: bytes):
        outcome = Outcome(
            entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.CONSIGNED, receipts=(ref_of(signed),)
        )
        request = OutcomesRequest(outcomes=(outcome,), proofs=proofs or proofs_of([signed]))
        (result,) = (await node.client.report(request)).outcomes
        assert (result.result, result.code) == (OutcomeResult.REFUSED, code)

    async def test_not_signed_by_the_recipient(self, g22: Node, h23: Node, h31: Node) -> None:
        """A receipt in the name of H23 that another node signed is refused."""
        entry = await _entry(g22, h23, "H23")
        forged = h31.receipt(entry.message_id, "G22", "H23", ReceiptEvent.CONTENT_CONSIGNMENT)
        await self._refused(h23, entry, forged, "signer-not-bound")

    async def test_issued_by_another_agency(self, g22: Node, h23: Node) -> None:
        """An agency receipts what happened at itself alone."""
        entry = await _entry(g22, h23, "H23")
        event = ReceiptEvent.CONTENT_CONSIGNMENT
        strange = h23.receipt(entry.message_id, "G22", "H23", event, issuer="H23.12")
        await self._refused(h23, entry, strange, "receipt-issuer")

    async def test_of_another_message(self, g22: Node, h23: Node) -> None:
        """A receipt of another message settles nothing here."""
        entry = await _entry(g22, h23, "H23")
        other = h23.receipt("0" * 64, "G22", "H23", ReceiptEvent.CONTENT_CONSIGNMENT)
        await self._refused(h23, entry, other, "receipt-foreign")

    async def test_of_an_agency_that_is_no_recipient(self, g22: Node, h23: Node) -> None:
        """The node's other agencies have no delivery of it."""
        entry = await _entry(g22, h23, "H23")
        strange = h23.receipt(entry.message_id, "G22", "H23.12", ReceiptEvent.CONTENT_CONSIGNMENT)
        await self._refused(h23, entry, strange, "receipt-foreign")

    async def test_with_another_sender(self, g22: Node, h23: Node) -> None:
        """A receipt that names another sender than the message has is refused."""
        entry = await _entry(g22, h23, "H23")
        strange = h23.receipt(entry.message_id, "H31", "H23", ReceiptEvent.CONTENT_CONSIGNMENT)
        await self._refused(h23, entry, strange, "receipt-sender")

    async def test_of_another_event(self, g22: Node, h23: Node) -> None:
        """A handover receipt is no consignment."""
        entry = await _entry(g22, h23, "H23")
        other = h23.receipt(entry.message_id, "G22", "H23", ReceiptEvent.CONTENT_HANDOVER)
        await self._refused(h23, entry, other, "receipt-event")

    async def test_without_its_proof(self, g22: Node, h23: Node) -> None:
        """A receipt without the proof that it names proves nothing."""
        entry = await _entry(g22, h23, "H23")
        signed = h23.receipt(entry.message_id, "G22", "H23", ReceiptEvent.CONTENT_CONSIGNMENT)
        await self._refused(h23, entry, signed, "proof-missing", other=signed.proof)

    async def test_without_any_receipt(self, g22: Node, h23: Node) -> None:
        """A consignment is told by a receipt, not by a word."""
        entry = await _entry(g22, h23, "H23")
        outcome = Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.CONSIGNED)
        (result,) = (await h23.client.report(OutcomesRequest(outcomes=(outcome,)))).outcomes
        assert (result.result, result.code) == (OutcomeResult.REFUSED, "receipts-missing")

    async def test_an_item_that_does_not_hold_leaves_the_others(self, world: World, g22: Node, h23: Node) -> None:
        """Each item of a report has a result of its own."""
        for _ in range(2):
            await g22.send(document("G22", "H23"))
        good, bad = await h23.envelopes()
        event = ReceiptEvent.CONTENT_CONSIGNMENT
        signed = [h23.receipt(good.message_id, "G22", "H23", event), h23.receipt("0" * 64, "G22", "H23", event)]
        outcomes = tuple(
            Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.CONSIGNED, receipts=(ref_of(receipt),))
            for entry, receipt in zip((good, bad), signed, strict=True)
        )
        answer = await h23.client.report(OutcomesRequest(outcomes=outcomes, proofs=proofs_of(signed)))
        assert [item.result for item in answer.outcomes] == [OutcomeResult.RECORDED, OutcomeResult.REFUSED]
        assert (await balance_of(world.database)).overall == Tally(2, 1, 0, 0, 0, 1)

    async def test_outcomes_of_the_other_kind_of_entry(self, g22: Node, h23: Node) -> None:
        """A receipt cannot be consigned, nor an envelope received."""
        entry = await _entry(g22, h23, "H23")
        assert (await _tell(h23, entry, OutcomeKind.RECEIVED)).code == "outcome-mismatch"
        await h23.report(entry, "G22")
        (receipt,) = await g22.receipts()
        strange = entry.model_copy(update={"entry": receipt.entry, "lease": receipt.lease})
        assert (await g22.report(strange, "G22", codes=("G22",))).code == "outcome-mismatch"


async def test_a_long_reason_is_cut_before_it_is_logged_and_kept(world: World, g22: Node, h23: Node) -> None:
    """A node may give any reason for handing back: a thousand characters of it are told and stored."""
    entry = await _entry(g22, h23, "H23")
    with capture_logs() as logs:
        result = await _tell(h23, entry, OutcomeKind.RELEASED, reason="x" * 1_000_000)
    assert result.result is OutcomeResult.RECORDED
    (line,) = [each for each in logs if each["event"] == "outcome.entered"]
    assert line["reason"] == "x" * 1000
    assert await world.count("mailbox_entries WHERE length(last_error) = 1000") == 1


async def test_a_report_is_logged_in_one_line_for_all_that_became_the_same(g22: Node, h23: Node) -> None:
    """Entries handed back for one reason stand in one line, which names them; what became otherwise has its own."""
    for _ in range(3):
        await g22.send(document("G22", "H23"))
    entries = await h23.envelopes()
    released = [
        Outcome(entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.RELEASED, reason="busy") for entry in entries
    ]
    strange = Outcome(entry=2**40, outcome=OutcomeKind.RELEASED, reason="busy")
    with capture_logs() as logs:
        await h23.client.report(OutcomesRequest(outcomes=(*released, strange)))
    together, alone = [line for line in logs if line["event"].startswith("outcome")]
    assert (together["event"], alone["event"]) == ("outcomes.entered", "outcome.entered")
    assert (together["entries"], together["count"]) == ([entry.entry for entry in entries], 3)
    assert (together["result"], together["reason"]) == (OutcomeResult.RECORDED, "busy")
    assert (alone["entry"], alone["result"]) == (2**40, OutcomeResult.UNKNOWN)


@pytest.mark.parametrize(
    "request_of",
    [
        lambda long: {"outcomes": [{"entry": 1, "outcome": "released", "lease": long}]},
        lambda long: {"receipts": [{"receipt": "", "proof": long}]},
        lambda long: {"epoch": long},
        lambda long: {"proofs": {long: ""}},
    ],
    ids=["lease", "proof", "epoch", "proofs"],
)
async def test_a_long_token_is_refused_shortly(request_of: Any, h23: Node) -> None:
    """Names that a peer gives to leases, proofs and stores are short, and so is the answer to one that is not."""
    body = request_of("x" * 100_000)
    async with h23.session.post(h23.client._hub.with_path("/v1/receipts"), json=body) as answer:
        assert (answer.status, len(await answer.read()) < 2000) == (400, True)
