"""A submission that is accepted: what is answered and stored, and that it is one message however often it comes."""

from __future__ import annotations

import asyncio

from certs.receipts import ReceiptTrust, verify_receipt
from certs.trust import Trust
from hub.usecases.acceptance import recipients_digest
from schemas.directory import EntryStatus
from schemas.receipts import ReceiptEvent, SignedReceipt
from tests.hub.exchange.conftest import HUB, World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import NOW, Node
from transport.wire import SubmissionAnswer, SubmissionState


def _acknowledgement(answer: SubmissionAnswer) -> SignedReceipt:
    assert answer.acknowledgement is not None
    return SignedReceipt(answer.acknowledgement.receipt, answer.acknowledgement.proof)


async def test_an_accepted_document_is_acknowledged_by_the_hub(world: World, g22: Node, h23: Node, h31: Node) -> None:
    """The acknowledgement is the hub's signed receipt of the message, its recipients and the directory's version."""
    sealed = g22.seal(document("G22", "H23", "H31"))
    answer = await g22.client.submit(sealed.data, {})
    assert (answer.state, answer.message_id, answer.epoch) == (SubmissionState.ACCEPTED, sealed.message_id, "epoch-1")
    trust = ReceiptTrust((world.authority.root,), Trust((), lambda _code: None))
    receipt = verify_receipt(_acknowledgement(answer), trust, NOW).value
    assert receipt.event is ReceiptEvent.SUBMISSION_ACCEPTANCE
    assert (receipt.issuer.name, receipt.message_id, str(receipt.sender)) == (HUB, sealed.message_id, "G22")
    assert receipt.recipients_digest == recipients_digest(["H23", "H31"])
    assert (receipt.recipients_count, receipt.directory_version, receipt.occurred_at) == (2, 4, NOW)


async def test_the_bytes_reach_every_recipient_untouched(g22: Node, h23: Node, h31: Node) -> None:
    """Each connection gets the envelope byte for byte as it was sealed, with the codes that it is to serve."""
    sealed = g22.seal(document("G22", "H23.12", "H31", "H23"))
    await g22.client.submit(sealed.data, {})
    (haiduong,) = await h23.envelopes()
    (hungyen,) = await h31.envelopes()
    assert haiduong.envelope == hungyen.envelope == sealed.data
    assert haiduong.recipients == ("H23", "H23.12")
    assert hungyen.recipients == ("H31",)


async def test_a_second_submission_is_answered_with_the_first_acknowledgement(
    world: World, g22: Node, h23: Node
) -> None:
    """The same envelope submitted again changes nothing and gets the very same bytes."""
    data = g22.seal(document("G22", "H23")).data
    first = await g22.client.submit(data, {})
    world.clock.advance(hours=5)
    second = await g22.client.submit(data, {})
    assert _acknowledgement(second) == _acknowledgement(first)
    assert (await world.count("messages"), await world.count("deliveries")) == (1, 1)


async def test_two_clients_at_once_get_one_acknowledgement(world: World, g22: Node, h23: Node) -> None:
    """Eight submissions of one envelope at the same moment make one message and one acknowledgement."""
    data = g22.seal(document("G22", "H23")).data
    answers = await asyncio.gather(*(g22.client.submit(data, {}) for _ in range(8)))
    assert len({_acknowledgement(answer) for answer in answers}) == 1
    assert (await world.count("messages"), await world.count("mailbox_entries")) == (1, 1)


async def test_another_seal_over_the_same_content_is_the_same_message(world: World, g22: Node, h23: Node) -> None:
    """Sealing again, later, gives other bytes and the same id: the hub answers with what it stored."""
    envelope = document("G22", "H23")
    first = g22.seal(envelope)
    answer = await g22.client.submit(first.data, {})
    world.clock.advance(minutes=1)
    second = g22.seal(envelope)
    assert second.data != first.data
    assert _acknowledgement(await g22.client.submit(second.data, {})) == _acknowledgement(answer)
    assert await world.count("messages") == 1


async def test_white_space_in_a_tag_makes_no_second_message(world: World, g22: Node, h23: Node) -> None:
    """What the seal does not cover leaves the message the same."""
    data = g22.seal(document("G22", "H23")).data
    answer = await g22.client.submit(data, {})
    spaced = data.replace(b"</edXML:Subject>", b"</edXML:Subject  >")
    assert spaced != data
    assert _acknowledgement(await g22.client.submit(spaced, {})) == _acknowledgement(answer)


async def test_a_repeat_is_answered_although_a_recipient_is_suspended_since(world: World, g22: Node, h23: Node) -> None:
    """What was accepted stays accepted, whatever has changed meanwhile."""
    data = g22.seal(document("G22", "H23")).data
    answer = await g22.client.submit(data, {})
    await world.set_status("H23", EntryStatus.SUSPENDED)
    assert _acknowledgement(await g22.client.submit(data, {})) == _acknowledgement(answer)


async def test_older_codes_and_new_ones_name_one_recipient(world: World, g22: Node, h23: Node) -> None:
    """An agency addressed by both of its codes gets one delivery, under its code of today."""
    answer = await g22.send(document("G22", "H23", "000.00.00.H23"))
    trace = await g22.client.message(answer.message_id)
    assert [delivery.recipient for delivery in trace.deliveries] == ["H23"]
