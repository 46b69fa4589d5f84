"""Receipts that come back, and what the outbox makes of them; receipts that go out, and what the hub makes of those."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection

from certs.receipts import OpenedReceipt, open_receipt, sign_receipts
from certs.sealing import SealingKey
from node.store import directory as directory_store
from node.store import reports
from node.store.records import RecipientRow
from node.store.states import DeliveryState, OutboxState
from node.usecases import receipts
from node.usecases.directory import DirectoryCopy
from node.usecases.receipts import ReceiptVerifier
from schemas.codes import AgencyCode
from schemas.directory import ConnectionEntry
from schemas.errors import Rejected, Unavailable
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt
from tests.node.core.asking import becomes, outbox_row
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually
from tests.node.core.world import G22, H23, H31, HUB, World, document, envelope
from transport.wire import OutcomeKind


def receipt_of(
    world: World,
    event: ReceiptEvent,
    message_id: str,
    *,
    issuer: Issuer | None = None,
    recipient: AgencyCode = G22,
    reason: str | None = None,
    key: SealingKey | None = None,
) -> SignedReceipt:
    """A receipt about a message of H23, as G22's node signs it unless told otherwise."""
    (signed,) = sign_receipts(
        [
            Receipt(
                receipt_id=secrets.token_hex(8),
                event=event,
                issuer=issuer or Issuer(IssuerKind.AGENCY, recipient.value),
                message_id=message_id,
                sender=H23,
                recipient=recipient,
                occurred_at=world.now,
                reason=Reason(reason, "Vì sao") if reason else None,
            )
        ],
        key or world.keys["g22"],
        issued_at=world.now,
    )
    return signed


def received(hub: HubSimulator, entry: int) -> bool:
    return entry in hub.outcomes(OutcomeKind.RECEIVED)


async def told(node: Node, hub: HubSimulator, message_id: str, receipts: Sequence[SignedReceipt]) -> RecipientRow:
    """Deliver receipts one after the other; gives the recipient's row when all are settled."""
    async with node.running("sender", "receiver", "reporter"):
        await becomes(node, message_id, OutboxState.ACCEPTED)
        for signed in receipts:
            entry = hub.deliver_receipt(signed)
            await eventually(partial(received, hub, entry))
    return (await outbox_row(node, message_id)).recipients[0]


async def test_a_consignment_and_a_handover_stand_with_the_recipient(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """Receipts of the recipient's node are verified, kept with their proofs, and move the delivery on."""
    message_id = await node.submit(document())
    signed = [
        receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, message_id),
        receipt_of(world, ReceiptEvent.CONTENT_HANDOVER, message_id),
    ]
    row = await told(node, hub, message_id, signed[:1])
    assert row.delivery is DeliveryState.CONSIGNED
    row = await told(node, hub, message_id, signed)
    assert row.delivery is DeliveryState.HANDED_OVER
    story = await node.queries.story(message_id)
    kept = [receipt.signed for receipt in story.receipts if receipt.issuer.kind is IssuerKind.AGENCY]
    assert kept == signed
    assert {event.event for event in story.events} == {
        "message.submitted",
        "receipt.SubmissionAcceptance",
        "receipt.ContentConsignment",
        "receipt.ContentHandover",
    }
    (agency, total) = await node.queries.balance()
    assert (agency.code, agency.accepted, agency.delivered, agency.pending) == (H23, 1, 1, 0)
    assert (total.code, total.accepted, total.delivered) == (None, 1, 1)


FORGERIES: dict[str, Callable[[World, str], SignedReceipt]] = {
    "a stranger's key": lambda world, name: receipt_of(
        world, ReceiptEvent.CONTENT_CONSIGNMENT, name, key=world.new_seal_key("g22", strange=True)
    ),
    "another agency's key": lambda world, name: receipt_of(
        world, ReceiptEvent.CONTENT_CONSIGNMENT, name, key=world.keys["h31"]
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_receipt_by_another_key_is_put_off_and_moves_nothing(
    node: Node, hub: HubSimulator, world: World, forgery: str
) -> None:
    """A receipt that the recipient's key did not sign is not kept; the directory may be behind, so it is released."""
    message_id = await node.submit(document())
    async with node.running("sender", "receiver", "reporter"):
        await becomes(node, message_id, OutboxState.ACCEPTED)
        entry = hub.deliver_receipt(FORGERIES[forgery](world, message_id))
        await eventually(lambda: hub.outcomes(OutcomeKind.RELEASED) == [entry])
    story = await node.queries.story(message_id)
    assert [receipt.event for receipt in story.receipts] == [ReceiptEvent.SUBMISSION_ACCEPTANCE]
    assert story.outbox is not None
    assert story.outbox.recipients[0].delivery is DeliveryState.ACCEPTED


async def test_an_agency_is_looked_up_once_a_version_and_as_it_stood_at_the_time(
    node: Node, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many receipts of an agency the first asks the database; the next version is asked anew, and a key that it
    withdraws attests nothing from then on, but what it attested before stays."""
    verifier = ReceiptVerifier(node.database, node.directory, node.identity)
    asked: list[datetime] = []
    ask = directory_store.version_at

    def noted(transaction: Connection, at: datetime) -> int | None:
        asked.append(at)
        return ask(transaction, at)

    monkeypatch.setattr(directory_store, "version_at", noted)
    before = [receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, "3a" * 32) for _ in range(3)]
    forged = receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, "3a" * 32, key=world.keys["h31"])
    for each in before:
        assert (await verifier.verify(each)).value.recipient == G22
    assert len(asked) == 1
    with pytest.raises(Rejected):
        await verifier.verify(forged)
    monkeypatch.setattr(world, "now", world.now + timedelta(minutes=1))
    world.publish(connections=[ConnectionEntry(connection="g22", name="g22", seal_certificates=())])
    await node.directory.sync(node.hub)
    after = receipt_of(world, ReceiptEvent.CONTENT_HANDOVER, "3a" * 32)
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            await verifier.verify(after)
        assert caught.value.code == "signer-not-bound"
    assert (await verifier.verify(before[0])).value.recipient == G22


async def test_a_key_of_which_another_process_has_learnt_attests_here_too(
    node: Node, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this process remembers of an agency refuses no receipt of a key that the record knows of by now."""
    verifier = ReceiptVerifier(node.database, node.directory, node.identity)
    await verifier.verify(receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, "3a" * 32))
    renewed = world.new_seal_key("g22")
    monkeypatch.setattr(world, "now", world.now + timedelta(minutes=1))
    world.publish(connections=[world.connection("g22", renewed)])
    await DirectoryCopy(node.database, node.identity, node.clock).sync(node.hub)
    assert node.directory.version == 1
    signed = receipt_of(world, ReceiptEvent.CONTENT_HANDOVER, "3a" * 32, key=renewed)
    assert (await verifier.verify(signed)).value.recipient == G22


async def test_a_long_proof_is_opened_in_a_thread(node: Node, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one receipt, too, the proof may list tens of thousands: the event loop opens those that are short."""
    opened: list[int] = []

    def noted(signed: SignedReceipt) -> OpenedReceipt:
        opened.append(threading.get_ident())
        return open_receipt(signed)

    monkeypatch.setattr(receipts, "open_receipt", noted)
    verifier = ReceiptVerifier(node.database, node.directory, node.identity)
    short = receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, "3a" * 32)
    receipt = (await verifier.verify(short)).value
    many = [replace(receipt, receipt_id=str(number)) for number in range(400)]
    long = sign_receipts(many, world.keys["g22"], issued_at=world.now)[0]
    assert (await verifier.verify(long)).value == many[0]
    assert [there == threading.get_ident() for there in opened] == [True, False]


async def test_a_receipt_of_what_happened_elsewhere_moves_nothing(node: Node, hub: HubSimulator, world: World) -> None:
    """Neither the hub nor another agency can attest that a recipient has the document; nor can one who is none."""
    message_id = await node.submit(document())
    by_the_hub = Issuer(IssuerKind.HUB, HUB)
    by_another = Issuer(IssuerKind.AGENCY, "H31")
    event = ReceiptEvent.CONTENT_CONSIGNMENT
    row = await told(
        node,
        hub,
        message_id,
        [
            receipt_of(world, event, message_id, issuer=by_the_hub, key=world.receipts_key),
            receipt_of(world, event, message_id, issuer=by_another, key=world.keys["h31"]),
            receipt_of(world, event, message_id, recipient=H31, key=world.keys["h31"]),
            receipt_of(world, event, "ab" * 32),
        ],
    )
    assert row.delivery is DeliveryState.ACCEPTED
    assert len((await node.queries.story(message_id)).receipts) == 1


@pytest.mark.parametrize(
    ("reason", "delivery"), [("expired", DeliveryState.EXPIRED), ("cancelled", DeliveryState.CANCELLED)]
)
async def test_a_consignment_supersedes_what_the_hub_gave_up(
    node: Node, hub: HubSimulator, world: World, reason: str, delivery: DeliveryState
) -> None:
    """The hub may attest that it gave a delivery up; a consignment counts all the same, before that and after it."""
    message_id = await node.submit(document())
    given_up = receipt_of(
        world,
        ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE,
        message_id,
        issuer=Issuer(IssuerKind.HUB, HUB),
        reason=reason,
        key=world.receipts_key,
    )
    row = await told(node, hub, message_id, [given_up])
    assert row.delivery is delivery
    assert row.trouble is not None
    assert row.trouble.code == reason
    row = await told(node, hub, message_id, [receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, message_id)])
    assert (row.delivery, row.trouble) == (DeliveryState.CONSIGNED, None)
    row = await told(node, hub, message_id, [given_up])
    assert row.delivery is DeliveryState.CONSIGNED


async def test_a_delivery_that_was_offered_anew_can_end_once_more(node: Node, hub: HubSimulator, world: World) -> None:
    """Each end that the hub attests is kept as evidence and the latest is what stands; a late copy changes nothing."""
    message_id = await node.submit(document())

    def given_up(reason: str) -> SignedReceipt:
        failure, by_hub = ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE, Issuer(IssuerKind.HUB, HUB)
        return receipt_of(world, failure, message_id, issuer=by_hub, reason=reason, key=world.receipts_key)

    first = given_up("expired")
    world.now += timedelta(seconds=1)
    second = given_up("cancelled")
    row = await told(node, hub, message_id, [first, second, first])
    assert row.delivery is DeliveryState.CANCELLED
    story = await node.queries.story(message_id)
    failures = [each.signed for each in story.receipts if each.event is ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE]
    assert failures == [first, second]
    row = await told(node, hub, message_id, [receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, message_id)])
    assert row.delivery is DeliveryState.CONSIGNED


async def test_no_party_fills_the_disk_with_failures(node: Node, hub: HubSimulator, world: World) -> None:
    """However often a recipient attests that it refuses, a bounded number of receipts is kept."""
    message_id = await node.submit(document())
    failure = ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE
    await told(node, hub, message_id, [receipt_of(world, failure, message_id, reason="x") for _ in range(40)])
    story = await node.queries.story(message_id)
    assert len([each for each in story.receipts if each.event is failure]) == 32


async def test_repeated_receipts_are_kept_once(node: Node, hub: HubSimulator, world: World) -> None:
    """A recipient that attests one event many times fills no disk: the first receipt stays."""
    message_id = await node.submit(document())
    repeats = [receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, message_id) for _ in range(3)]
    await told(node, hub, message_id, repeats)
    story = await node.queries.story(message_id)
    kept = [receipt.signed for receipt in story.receipts if receipt.event is ReceiptEvent.CONTENT_CONSIGNMENT]
    assert kept == repeats[:1]


async def test_reports_wait_for_the_hub_and_are_sent_in_order(node: Node, hub: HubSimulator, world: World) -> None:
    """While the hub takes no reports they are kept, and then sent in batches of the set size, oldest first."""
    hub.faults.refuse_report = lambda _request: Unavailable("storage-full", "The hub's disk is full.")
    node.settings = SETTINGS.model_copy(update={"reports": SETTINGS.reports.model_copy(update={"batch": 3})})
    names = []
    for number in range(7):
        sealed = world.sealed(envelope(document(G22, H23), submission_id=str(number)))
        names.append(hub.deliver(sealed.data, [H23]))
    async with node.running("receiver", "reporter"):

        async def waiting() -> bool:
            return (await node.queries.status()).reports_waiting == 7

        await eventually(waiting)
        hub.faults.refuse_report = lambda _request: None
        await eventually(lambda: len(hub.outcomes(OutcomeKind.CONSIGNED)) == 7)
        await eventually(nothing_waits(node))
    assert hub.outcomes(OutcomeKind.CONSIGNED) == names
    assert max(len(request.outcomes) for request in hub.reports) == 3


async def test_a_later_word_on_an_entry_is_sent_though_an_earlier_one_was_answered(node: Node) -> None:
    """When an entry comes again on a new lease while its report is on the way, the hub is told on the new lease too."""

    def queue(transaction: Connection, lease: str) -> None:
        reports.add_outcome(transaction, 7, lease, OutcomeKind.RECEIVED, lane=3, receipts=())

    await node.database.write(partial(queue, lease="first"))
    sent = await node.database.read(partial(reports.next_batch, receipts=10))
    await node.database.write(partial(queue, lease="second"))
    await node.database.write(partial(reports.settle, sent=sent))
    (left,) = await node.database.read(partial(reports.next_batch, receipts=10))
    assert (left.entry, left.lease) == (7, "second")
    await node.database.write(partial(reports.settle, sent=[left]))
    assert await node.database.read(partial(reports.next_batch, receipts=10)) == ()


async def test_a_report_that_the_hub_cannot_read_blocks_no_other(node: Node, hub: HubSimulator, world: World) -> None:
    """When the hub refuses a request as malformed, the reports are sent one by one; the bad one is dropped and said."""
    bad = hub.deliver(world.sealed(envelope(document(G22, H23), submission_id="bad")).data, [H23])
    good = [
        hub.deliver(world.sealed(envelope(document(G22, H23), submission_id=str(number))).data, [H23])
        for number in range(3)
    ]
    hub.faults.refuse_report = lambda request: (
        Rejected("request-malformed", "?") if bad in [outcome.entry for outcome in request.outcomes] else None
    )
    async with node.running("receiver", "reporter"):
        await eventually(lambda: hub.outcomes(OutcomeKind.CONSIGNED) == good)
        await eventually(nothing_waits(node))


def nothing_waits(node: Node) -> Callable[[], Awaitable[bool]]:
    """True once the hub has been told of everything."""

    async def none() -> bool:
        return (await node.queries.status()).reports_waiting == 0

    return none
