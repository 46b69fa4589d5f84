"""From the mailbox to the inbox: what arrives, what is refused, what is put off, and what the hub is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from certs.evidence_verifying import NamedAuthority, verify_evidence
from node.store import refusals
from node.store.states import HandoverState
from node.usecases.evidence import Evidence
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Envelope, SecrecyLevel, Selector, SelectorKind
from schemas.message import Document, Organ, StatusCode
from schemas.receipt_codec import read_receipt
from schemas.receipts import ReceiptEvent
from tests.node.core.asking import arrives, events, handed, inbox_row, statuses_sent, verified
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import (
    G22,
    H23,
    H23_12,
    H31,
    OLDER_H31,
    OWN,
    World,
    digest_of,
    document,
    envelope,
    recall,
    status,
    suspended,
)
from transport.wire import OutcomeKind


async def test_a_document_arrives_is_receipted_answered_and_handed_over(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A verified document is consigned with a signed receipt, handed over once, and answered with one status 01."""
    sealed = world.sealed(envelope(document(G22, H23), b"short"))
    entry = hub.deliver(sealed.data, [H23], [b"short"])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
        await eventually(lambda: len(hub.receipts_reported()) == 2)
        await eventually(lambda: len(hub.accepted) == 1)
    assert hub.outcomes(OutcomeKind.CONSIGNED) == [entry]
    assert events(hub.receipts_reported(), world) == [
        (ReceiptEvent.CONTENT_CONSIGNMENT, sealed.message_id, "H23"),
        (ReceiptEvent.CONTENT_HANDOVER, sealed.message_id, "H23"),
    ]
    assert await statuses_sent(node) == [("01", sealed.message_id)]
    (delivery,) = node.adapter.deliveries
    assert delivery.sealed == sealed.data
    assert delivery.signer == "CN=g22"
    assert [attachment.digest for attachment in delivery.attachments] == [digest_of(b"short")]
    async with node.facade.open_attachment(digest_of(b"short")) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"short"


async def test_a_document_for_two_agencies_is_one_message_and_two_hand_overs(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """Each agency that this node serves gets its own hand-over, receipt and status 01; the bytes are kept once."""
    sealed = world.sealed(envelope(document(G22, H23, H23_12)))
    hub.deliver(sealed.data, [H23, H23_12])
    async with node.running():
        await eventually(lambda: len(node.adapter.deliveries) == 2)
        await eventually(lambda: len(hub.receipts_reported()) == 4)
    assert {str(key.recipient) for key in node.adapter.keys} == {"H23", "H23.12"}
    assert {(event, code) for event, _, code in events(hub.receipts_reported(), world)} == {
        (ReceiptEvent.CONTENT_CONSIGNMENT, "H23"),
        (ReceiptEvent.CONTENT_CONSIGNMENT, "H23.12"),
        (ReceiptEvent.CONTENT_HANDOVER, "H23"),
        (ReceiptEvent.CONTENT_HANDOVER, "H23.12"),
    }
    assert await statuses_sent(node) == [("01", sealed.message_id)] * 2


async def test_a_repeat_is_answered_with_the_receipt_that_was_stored(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A document that comes again is neither handed over nor answered twice; its receipt is the same, byte for byte."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
        await eventually(lambda: len(hub.receipts_reported()) == 2)
        hub.deliver(sealed.data, [H23])
        await eventually(lambda: len(hub.receipts_reported()) == 4)
        await eventually(lambda: len(hub.accepted) == 1)
    consigned, handed_over, *again = hub.receipts_reported()
    assert again == [consigned, handed_over], "a restored hub lacks both"
    assert len(node.adapter.deliveries) == 1
    assert await statuses_sent(node) == [("01", sealed.message_id)]


async def test_messages_of_one_answer_share_one_signature(node: Node, hub: HubSimulator, world: World) -> None:
    """What arrives together is receipted under one proof."""
    names = set()
    for number in range(5):
        sealed = world.sealed(envelope(document(G22, H23), submission_id=f"number {number}"))
        hub.deliver(sealed.data, [H23])
        names.add(sealed.message_id)
    async with node.running("receiver", "reporter"):
        await eventually(lambda: len(hub.receipts_reported()) == 5)
    reported = hub.receipts_reported()
    assert len({signed.proof for signed in reported}) == 1
    assert {verified(signed, world).message_id for signed in reported} == names


async def test_a_status_gets_no_status(node: Node, hub: HubSimulator, world: World) -> None:
    """A status message is receipted and handed over, and no status 01 is sent for it."""
    original = document(G22, H23)
    first = world.sealed(envelope(original))
    hub.deliver(first.data, [H23])
    taken_back = world.sealed(envelope(status(G22, original, StatusCode.TAKEN_BACK), about=[first.message_id]))
    hub.deliver(taken_back.data, [H23])
    async with node.running():
        await eventually(lambda: len(hub.receipts_reported()) == 4)
    assert await statuses_sent(node) == [("01", first.message_id)]
    assert [delivery.about for delivery in node.adapter.deliveries] == [(), (first.message_id,)]


def changed(data: bytes) -> bytes:
    return data.replace("Báo cáo".encode(), "Báo cao".encode())


REFUSALS: dict[str, Callable[[World], tuple[bytes, list[AgencyCode]]]] = {
    "seal-digest": lambda world: (changed(world.sealed(envelope(document(G22, H23))).data), [H23]),
    "not-addressed-here": lambda world: (world.sealed(envelope(document(G22, H31))).data, [H23]),
    "secrecy-forbidden": lambda world: (world.sealed(secret(document(G22, H23))).data, [H23]),
    "about-missing": lambda world: (world.sealed(envelope(recall(document(G22, H23)))).data, [H23]),
    "not-well-formed": lambda world: (world.sealed(envelope(document(G22, H23))).data[:-9], [H23]),
}


def secret(message: Document) -> Envelope:
    whole = envelope(message)
    return Envelope(whole.message, replace(whole.extension, secrecy=SecrecyLevel.SECRET))


@pytest.mark.parametrize("rule", REFUSALS)
async def test_a_fault_of_the_bytes_refuses_with_a_signed_reason(
    node: Node, hub: HubSimulator, world: World, rule: str
) -> None:
    """A message that must never enter is refused with a signed failure naming the rule, and nothing of it is stored."""
    data, recipients = REFUSALS[rule](world)
    message_id = world.sealed(envelope(document(G22, H23))).message_id
    if rule not in ("seal-digest", "not-well-formed"):
        entry = hub.deliver(data, recipients)
    else:
        entry = hub.deliver(data, recipients, message_id=message_id)
    async with node.running("receiver", "reporter", "handover"):
        await eventually(lambda: hub.outcomes(OutcomeKind.REFUSED) == [entry])
    (signed,) = hub.receipts_reported()
    receipt = verified(signed, world)
    assert receipt.event is ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE
    assert receipt.reason is not None
    assert receipt.reason.code == rule
    assert await node.queries.inbox() == ()
    assert node.adapter.deliveries == []


async def test_a_refusal_is_kept_and_a_repeat_is_answered_with_it(node: Node, hub: HubSimulator, world: World) -> None:
    """A refused message leaves the hub's acceptance and our failure; offered again, it is refused by those bytes."""
    data, recipients = REFUSALS["seal-digest"](world)
    message_id = world.sealed(envelope(document(G22, H23))).message_id
    hub.deliver(data, recipients, message_id=message_id)
    async with node.running("receiver", "reporter"):
        await eventually(lambda: len(hub.receipts_reported()) == 1)
        hub.deliver(data, recipients, message_id=message_id)
        await eventually(lambda: len(hub.receipts_reported()) >= 2)
    told = set(hub.receipts_reported())
    kept = await node.database.read(lambda transaction: refusals.of_message(transaction, message_id))
    assert [read_receipt(one.receipt).event for one in kept] == [
        ReceiptEvent.SUBMISSION_ACCEPTANCE,
        ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
    ]
    assert told == {kept[1]}


async def test_what_was_refused_here_can_be_proven(node: Node, hub: HubSimulator, world: World, tmp_path: Path) -> None:
    """Evidence of a refused message holds the hub's acceptance and our signed failure; its bytes were not kept."""
    data, recipients = REFUSALS["seal-digest"](world)
    message_id = world.sealed(envelope(document(G22, H23))).message_id
    hub.deliver(data, recipients, message_id=message_id)
    async with node.running("receiver", "reporter"):
        await eventually(lambda: len(hub.receipts_reported()) == 1)
    evidence = Evidence(node.database, node.blobs, node.identity, node.clock)
    await evidence.write(message_id, tmp_path / "evidence.zip")
    report = verify_evidence(tmp_path / "evidence.zip", NamedAuthority(certificates=world.hub_authority))
    assert report.holds
    assert not report.has_envelope
    assert [finding.what for finding in report.findings] == ["SubmissionAcceptance", "ContentConsignmentFailure"]


async def test_bytes_of_another_message_are_refused(node: Node, hub: HubSimulator, world: World) -> None:
    """A good envelope under the acceptance of another message is not what the hub accepted."""
    accepted = world.sealed(envelope(document(G22, H23), submission_id="accepted"))
    other = world.sealed(envelope(document(G22, H23), submission_id="other"))
    hub.deliver(other.data, [H23], message_id=accepted.message_id)
    async with node.running("receiver", "reporter"):
        await eventually(lambda: len(hub.receipts_reported()) == 1)
    reason = verified(hub.receipts_reported()[0], world).reason
    assert reason is not None
    assert reason.code == "message-id-mismatch"
    assert await inbox_row(node, other.message_id) is None


async def test_an_agency_that_the_sender_did_not_name_gets_nothing(node: Node, hub: HubSimulator, world: World) -> None:
    """Handed out for two agencies of which the signed To names one, a document goes to that one alone."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23, H23_12])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
        await eventually(lambda: len(hub.receipts_reported()) == 2)
        entry = hub.deliver(sealed.data, [H23_12])
        await eventually(lambda: hub.outcomes(OutcomeKind.REFUSED) == [entry])
    assert [str(key.recipient) for key in node.adapter.keys] == ["H23"]
    row = await inbox_row(node, sealed.message_id)
    assert row is not None
    assert [handover.code for handover in row.handovers] == [H23]


async def test_a_prefix_or_an_older_code_addresses_an_agency(node: Node, hub: HubSimulator, world: World) -> None:
    """A signed selector addresses the agencies at or below its prefix, and To one by its older code; no others."""
    world.publish(
        agencies=[AgencyEntry(code=H23, name="Hải Dương", older_codes=(AgencyCode("000.00.00.H23"),), connection=OWN)]
    )
    for number, (codes, prefix, taken) in enumerate(
        (
            ((), "H23", True),
            ((), "000.00.00.H23", True),
            ((AgencyCode("000.00.00.H23"),), None, True),
            ((), "H2A", False),
        )
    ):
        whole = envelope(replace(document(G22, H31), recipients=tuple(map(organ, codes))), submission_id=str(number))
        selectors = (Selector(SelectorKind.PREFIX, prefix),) if prefix else ()
        sealed = world.sealed(Envelope(whole.message, replace(whole.extension, selectors=selectors)))
        entry = hub.deliver(sealed.data, [H23])
        async with node.running("receiver", "reporter"):
            await eventually(partial(told_of, hub, entry))
        assert (await inbox_row(node, sealed.message_id) is not None) is taken


def organ(code: AgencyCode) -> Organ:
    return Organ(organ_id=code)


def told_of(hub: HubSimulator, entry: int) -> bool:
    return entry in hub.outcomes(OutcomeKind.CONSIGNED) + hub.outcomes(OutcomeKind.REFUSED)


async def test_a_recall_by_another_than_the_sender_is_refused(node: Node, hub: HubSimulator, world: World) -> None:
    """A recall of G22's document that H31 sealed is refused, though H31's own seal is good."""
    original = world.sealed(envelope(document(G22, H23)))
    hub.deliver(original.data, [H23])
    forged = world.sealed(envelope(recall(document(H31, H23)), about=[original.message_id]))
    async with node.running("receiver", "reporter"):
        await arrives(node, original.message_id)
        entry = hub.deliver(forged.data, [H23])
        await eventually(lambda: hub.outcomes(OutcomeKind.REFUSED) == [entry])
    assert await inbox_row(node, forged.message_id) is None


async def test_a_report_by_another_than_a_recipient_is_refused(node: Node, hub: HubSimulator, world: World) -> None:
    """A status about our document from an agency that it did not go to is refused and changes nothing."""
    original = document(H23, G22)
    ours = await node.submit(original)
    forged = world.sealed(envelope(status(H31, original), about=[ours]))
    entry = hub.deliver(forged.data, [H23])
    async with node.running("receiver", "reporter"):
        await eventually(lambda: hub.outcomes(OutcomeKind.REFUSED) == [entry])
    story = await node.queries.story(ours)
    assert story.outbox is not None
    assert story.outbox.recipients[0].status is None


async def test_a_status_from_a_recipient_stands_in_the_outbox(node: Node, hub: HubSimulator, world: World) -> None:
    """What a recipient says of our document stands with that recipient, the newest word last, also by an older code."""
    original = document(H23, OLDER_H31)
    ours = await node.submit(original)
    later = status(H31, original, StatusCode.FINISHED, text="Xong", timestamp="2026/11/21 18:00:00")
    earlier = status(H31, original, StatusCode.ACCEPTED, text="Đã nhận", timestamp="2026/11/21 17:00:00")
    for number, message in enumerate((later, earlier)):
        sealed = world.sealed(envelope(message, about=[ours], submission_id=str(number)))
        hub.deliver(sealed.data, [H23])
    async with node.running("receiver", "handover"):
        await eventually(lambda: len(node.adapter.deliveries) == 2)
    story = await node.queries.story(ours)
    assert story.outbox is not None
    (recipient,) = story.outbox.recipients
    assert (recipient.code, recipient.written) == (H31, OLDER_H31)
    assert (recipient.status, recipient.status_text) == (StatusCode.FINISHED, "Xong")
    assert [event.event for event in story.events if event.event.startswith("status")] == [
        "status.06",
        "status.03",
    ]


async def test_what_this_node_cannot_judge_is_put_off(node: Node, hub: HubSimulator, world: World) -> None:
    """A seal by a key that the directory does not bind is neither taken in nor refused, but released with the rule."""
    unbound = world.new_seal_key("g22")
    sealed = world.sealed(envelope(document(G22, H23)), key=unbound)
    entry = hub.deliver(sealed.data, [H23])
    async with node.running("receiver", "reporter"):
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
        world.publish(connections=[world.connection("g22", world.keys["g22"], unbound)])
        hub.deliver(sealed.data, [H23])
        await arrives(node, sealed.message_id)
    (released,) = [outcome for request in hub.reports for outcome in request.outcomes if outcome.entry == entry]
    assert released.reason is not None
    assert released.reason.startswith("signer-not-bound")


async def test_a_forged_acceptance_lets_nothing_in(node: Node, hub: HubSimulator, world: World) -> None:
    """A message whose acceptance a stranger signed is released, not taken in."""
    sealed = world.sealed(envelope(document(G22, H23)))
    forged = hub.receipt(ReceiptEvent.SUBMISSION_ACCEPTANCE, sealed.message_id, G22, key=world.forged_receipts_key)
    entry = hub.deliver(sealed.data, [H23], acceptance=forged)
    async with node.running("receiver", "reporter"):
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
    assert await inbox_row(node, sealed.message_id) is None


async def test_seals_are_judged_by_the_directory_of_their_acceptance(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A document accepted before its sender's suspension arrives; one accepted after it does not."""
    before = world.sealed(envelope(document(G22, H23), submission_id="before"))
    after = world.sealed(envelope(document(G22, H23), submission_id="after"))
    accepted = hub.receipt(ReceiptEvent.SUBMISSION_ACCEPTANCE, before.message_id, G22, directory_version=1)
    world.publish(agencies=[suspended(G22, "g22")])
    hub.deliver(before.data, [H23], acceptance=accepted)
    entry = hub.deliver(after.data, [H23])
    async with node.running("receiver", "reporter"):
        await arrives(node, before.message_id)
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
    assert await inbox_row(node, after.message_id) is None


async def test_a_newer_directory_is_fetched_before_a_message_is_judged(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """A document of an agency that joined a moment ago arrives at once: the node fetches the version that names it."""
    newcomer = AgencyCode("G22.7")
    world.publish(agencies=[AgencyEntry(code=newcomer, name="Cục mới", connection="g22")])
    world.publish(agencies=[])
    sealed = world.sealed(envelope(document(newcomer, H23)), key=world.keys["g22"])
    hub.deliver(sealed.data, [H23])
    async with node.running("receiver"):
        await arrives(node, sealed.message_id)
    assert node.directory.version == 3
    assert hub.outcomes(OutcomeKind.RELEASED) == []


async def test_a_code_that_this_node_does_not_serve_is_put_off(node: Node, hub: HubSimulator, world: World) -> None:
    """A message that the hub hands out for a foreign agency is not taken in."""
    sealed = world.sealed(envelope(document(G22, H31)))
    entry = hub.deliver(sealed.data, [H31])
    async with node.running("receiver", "reporter"):
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
    assert await inbox_row(node, sealed.message_id) is None
