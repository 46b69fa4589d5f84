"""Refused submissions: the hub's signed word, to whom it is owed, how much of it is kept."""

from __future__ import annotations

import pytest

from certs.receipts import ReceiptTrust, verify_receipt
from certs.sealing import Sealed
from certs.trust import Trust
from hub.settings_exchange import ExchangeSettings
from hub.store import rejections
from hub.usecases.naming import message_named
from schemas.errors import Rejected, Unavailable
from schemas.receipts import IssuerKind, Receipt, ReceiptEvent
from tests.hub.exchange.conftest import HUB, World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import NOW, Node, rejection


@pytest.fixture
def settings() -> ExchangeSettings:
    return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0, "rejections": 3}})


def attested(world: World, error: Exception) -> Receipt:
    """The receipt that came with a refusal, verified."""
    assert isinstance(error, Rejected)
    assert error.receipt is not None
    trust = ReceiptTrust((world.authority.root,), Trust((), lambda _code: None))
    return verify_receipt(error.receipt, trust, NOW).value


async def refused(node: Node, sealed: Sealed | bytes) -> Exception:
    return await rejection(node.client.submit(sealed.data if isinstance(sealed, Sealed) else sealed, {}))


async def test_a_refusal_comes_signed_and_is_kept(world: World, g22: Node, h23: Node) -> None:
    """The problem document brings the hub's receipt naming message, sender and rule, and the hub keeps those bytes."""
    sealed = g22.seal(document("G22", "H99"))
    error = await refused(g22, sealed)
    receipt = attested(world, error)
    assert (receipt.event, receipt.issuer.kind, receipt.issuer.name) == (
        ReceiptEvent.SUBMISSION_REJECTION,
        IssuerKind.HUB,
        HUB,
    )
    assert (receipt.message_id, receipt.sender.value) == (sealed.message_id, "G22")
    assert receipt.reason is not None
    assert receipt.reason.code == "recipient-unknown"
    (kept,) = await world.database.read(lambda transaction: rejections.of_message(transaction, sealed.message_id))
    assert kept.signed == getattr(error, "receipt", None)


async def test_a_broken_seal_is_refused_with_a_receipt_to_who_serves_the_sender(
    world: World, g22: Node, h23: Node
) -> None:
    """Bytes changed on the way are refused by what they say of themselves: the message id and From that stand there."""
    sealed = g22.seal(document("G22", "H23"))
    broken = sealed.data.replace("Nguyễn Thị Lan".encode(), "Nguyễn Thị Hoa".encode())
    receipt = attested(world, await refused(g22, broken))
    assert (receipt.message_id, receipt.sender.value) == (sealed.message_id, "G22")
    assert receipt.reason is not None
    assert receipt.reason.code == "seal-digest"


async def test_who_does_not_serve_the_sender_gets_no_receipt(world: World, g22: Node, h23: Node) -> None:
    """Neither a good envelope of another's agency, nor a broken one, nor one of an unknown code is attested."""
    sealed = g22.seal(document("G22", "H23"))
    broken = sealed.data.replace("Nguyễn Thị Lan".encode(), "Nguyễn Thị Hoa".encode())
    unknown = h23.seal(document("G77", "H23"))
    errors = [await refused(h23, data) for data in (sealed, broken, unknown)]
    assert [getattr(error, "code", None) for error in errors] == ["sender-not-served", "seal-digest", "agency-unknown"]
    assert [getattr(error, "receipt", None) for error in errors] == [None, None, None]
    assert await world.count("rejections") == 0


async def test_of_one_message_the_newest_refusal_is_kept(world: World, g22: Node, h23: Node) -> None:
    """A message refused twice is judged anew, signed anew, and stands once, as it was answered last."""
    sealed = g22.seal(document("G22", "H99"))
    first, second = await refused(g22, sealed), await refused(g22, sealed)
    (kept,) = await world.database.read(lambda transaction: rejections.of_message(transaction, sealed.message_id))
    assert getattr(first, "receipt", None) != kept.signed == getattr(second, "receipt", None)


async def test_a_peer_cannot_fill_the_disk_with_refusals(world: World, g22: Node, h23: Node) -> None:
    """Of each connection the newest are kept, as many as the settings say, and another's stay."""
    theirs = h23.seal(document("H23", "H99"))
    await refused(h23, theirs)
    sent = [g22.seal(document("G22", "H99")) for _ in range(5)]
    for sealed in sent:
        await refused(g22, sealed)
    kept = [
        sealed.message_id
        for sealed in (theirs, *sent)
        if await world.database.read(lambda transaction, of=sealed.message_id: rejections.of_message(transaction, of))
    ]
    assert kept == [theirs.message_id, *(sealed.message_id for sealed in sent[2:])]


async def test_a_refusal_that_cannot_be_kept_is_not_given(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full disk nothing is signed away that the hub has not stored: the answer is for later."""

    async def full(_work: object) -> None:
        raise Unavailable("storage-full", "No space.")

    sealed = g22.seal(document("G22", "H99"))
    monkeypatch.setattr(world.database, "write", full)
    error = await refused(g22, sealed)
    assert isinstance(error, Unavailable)
    assert error.code == "storage-full"


async def test_a_message_refused_first_is_accepted_when_it_may_be(world: World, g22: Node, h23: Node) -> None:
    """A refusal decides nothing for later: once the recipient joined, the same bytes are accepted."""
    sealed = g22.seal(document("G22", "H31"))
    await refused(g22, sealed)
    await world.join("hungyen", "H31")
    answer = await g22.client.submit(sealed.data, {})
    assert answer.acknowledgement is not None


async def test_the_operator_is_told_that_a_message_was_refused(world: World, g22: Node, h23: Node) -> None:
    """Whoever asks for a message that was never accepted learns when it was refused, and by which rule."""
    sealed = g22.seal(document("G22", "H99"))
    await refused(g22, sealed)
    with pytest.raises(Rejected) as unknown:
        await world.database.read(lambda transaction: message_named(transaction, sealed.message_id[:12]))
    assert unknown.value.code == "message-unknown"
    assert f"{sealed.message_id} of G22 was refused on 2026-11-21 02:30:00 UTC by the rule recipient-unknown" in str(
        unknown.value
    )
