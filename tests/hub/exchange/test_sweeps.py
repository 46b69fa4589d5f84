"""What ends by itself: overdue deliveries, submissions given up, files that nobody names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.receipts import ReceiptTrust, verify_receipt
from certs.trust import Trust
from hub.settings_exchange import RetentionSettings
from hub.usecases.balance import Tally, balance_of
from hub.usecases.expiry import Expiry
from hub.usecases.leavings import Leavings
from hub.usecases.receipt_signer import ReceiptSigner
from hub.usecases.retention import Retention
from hub.workers.sweeps import sweep_service
from runtime.agreed_clock import AgreedClock, ClockDiffers
from runtime.clock import CertainClock, utc_now
from schemas.receipts import Receipt, ReceiptEvent, SignedReceipt
from tests.clocks import certain
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node, rejection
from transport.wire import OutcomeResult, SubmissionState

LONG = bytes(range(256)) * 1200


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_a_delivery_that_nobody_fetched_expires_and_its_sender_is_told(
    world: World, g22: Node, h23: Node
) -> None:
    """After its time a delivery ends, and the hub's receipt of that comes to the sender."""
    answer = await g22.send(document("G22", "H23", "H23.12"))
    world.clock.advance(days=30)
    await world.exchange.expiry.run()
    assert await h23.envelopes() == []
    assert (await balance_of(world.database)).overall == Tally(2, 0, 0, 2, 0, 0)
    fetched = await g22.fetch()
    trust = ReceiptTrust((world.authority.root,), Trust((), lambda _code: None))
    told = [
        verify_receipt(
            SignedReceipt(entry.receipt.receipt, fetched.proofs[entry.receipt.proof]), trust, world.clock()
        ).value
        for entry in fetched.entries
        if entry.kind == "receipt"
    ]
    assert {(receipt.event, str(receipt.recipient)) for receipt in told} == {
        (ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE, "H23"),
        (ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE, "H23.12"),
    }
    assert {receipt.message_id for receipt in told} == {answer.message_id}
    assert len(fetched.proofs) == 1


async def test_nothing_expires_before_its_time_or_while_it_is_leased(world: World, g22: Node, h23: Node) -> None:
    """A recipient that holds a lease may finish."""
    await g22.send(document("G22", "H23"))
    world.clock.advance(days=30, seconds=-1)
    await world.exchange.expiry.run()
    (entry,) = await h23.envelopes()
    world.clock.advance(seconds=30)
    await world.exchange.expiry.run()
    assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED


async def test_a_document_expires_when_its_sender_said(world: World, g22: Node, h23: Node) -> None:
    """The sender's own expiry ends a delivery before the hub's time to live does, and never after it."""
    expires_at = world.clock() + timedelta(hours=2)
    answer = await g22.send(document("G22", "H23", expires_at=expires_at))
    assert (await g22.client.message(answer.message_id)).expires_at == expires_at
    await g22.send(document("G22", "H23", expires_at=world.clock() + timedelta(days=300)))
    world.clock.advance(hours=2)
    await world.exchange.expiry.run()
    assert (await balance_of(world.database)).overall == Tally(2, 0, 0, 1, 0, 1)
    world.clock.advance(days=30)
    await world.exchange.expiry.run()
    assert (await balance_of(world.database)).overall == Tally(2, 0, 0, 2, 0, 0)


async def test_a_sender_that_waits_is_told_of_an_expiry(world: World, g22: Node, h23: Node) -> None:
    """The hub's receipt answers the sender's waiting poll."""
    await g22.send(document("G22", "H23"))
    waiting = asyncio.create_task(g22.fetch(wait=50))
    await asyncio.sleep(0.05)
    world.clock.advance(days=30)
    await world.exchange.expiry.run()
    assert len((await asyncio.wait_for(waiting, 10)).entries) == 1


async def test_a_consignment_that_comes_in_the_same_moment_wins(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is consigned while the receipt of its expiry is being signed does not expire."""
    await g22.send(document("G22", "H23"))
    (entry,) = await h23.envelopes()
    sign = ReceiptSigner.sign

    async def sign_late(self: ReceiptSigner, receipt: Receipt) -> SignedReceipt:
        await h23.report(entry, "G22")
        return await sign(self, receipt)

    monkeypatch.setattr(ReceiptSigner, "sign", sign_late)
    world.clock.advance(days=30)
    await world.exchange.expiry.run()
    assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)
    assert len(await g22.receipts()) == 1


async def test_a_consignment_supersedes_an_expiry(world: World, g22: Node, h23: Node) -> None:
    """The document is at its recipient after all: that is what counts, and what the sender is told."""
    await g22.send(document("G22", "H23"))
    (entry,) = await h23.envelopes()
    world.clock.advance(days=30)
    await world.exchange.expiry.run()
    assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED
    assert (await balance_of(world.database)).overall == Tally(1, 1, 0, 0, 0, 0)
    assert len(await g22.receipts()) == 2


async def test_a_submission_given_up_is_dropped_with_its_uploads(world: World, g22: Node, h23: Node) -> None:
    """A day without a byte ends a submission; another that is going on stays."""
    given_up = await g22.client.submit(g22.seal(document("G22", "H23", attachments=[LONG])).data, {})
    await g22.client.upload(given_up.uploads[0].location, 0, _pieces(LONG[:1000]))
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (alive,) = (await g22.client.submit(data, {})).uploads
    world.clock.advance(hours=20)
    await g22.client.upload(alive.location, 0, _pieces(LONG[:1000]))
    world.clock.advance(hours=5)
    await world.exchange.leavings.drop_submissions()
    assert (await world.count("submissions"), await world.count("uploads")) == (1, 1)
    assert len(_uploads(world)) == 1
    error = await rejection(g22.client.upload(given_up.uploads[0].location, 1000, _pieces(b"x")))
    assert error.code == "upload-unknown"
    await g22.client.upload(alive.location, 1000, _pieces(LONG[1000:]))
    assert (await g22.client.submit(data, {})).state is SubmissionState.ACCEPTED


async def test_a_submission_is_not_dropped_while_an_upload_is_under_way(world: World, g22: Node, h23: Node) -> None:
    """However long one request of an upload takes, what it writes is not taken from under it."""
    data = g22.seal(document("G22", "H23", attachments=[LONG])).data
    (needed,) = (await g22.client.submit(data, {})).uploads
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield LONG[:280_000]
        await go_on.wait()
        yield LONG[280_000:]

    upload = asyncio.create_task(g22.client.upload(needed.location, 0, slowly()))
    while await g22.client.upload_offset(needed.location) == 0:  # noqa: ASYNC110 - it can only be asked for
        await asyncio.sleep(0.01)
    world.clock.advance(days=2)
    await world.exchange.leavings.drop_submissions()
    go_on.set()
    assert await upload == len(LONG)
    assert (await g22.client.submit(data, {})).state is SubmissionState.ACCEPTED


async def test_files_that_nobody_names_are_dropped_and_others_stay(world: World, g22: Node, h23: Node) -> None:
    """What a crash left in the folders goes, once it is old enough; what a message or an upload names stays."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    waiting = await g22.client.submit(g22.seal(document("G22", "H23", attachments=[LONG[::-1]])).data, {})
    await g22.client.upload(waiting.uploads[0].location, 0, _pieces(LONG[:1000]))
    await world.files.put("orphan", digest_of(LONG[1:]), _pieces(LONG[1:]), size=len(LONG) - 1)
    await world.files.append("stray", 0, _pieces(b"x"), limit=1)

    # The files carry the machine's time, so the exchange's clock goes by that.
    world.clock.now = datetime.now(UTC) + timedelta(minutes=50)
    await world.exchange.leavings.drop_files()
    assert len([digest async for digest in world.files.digests()]) == 2
    assert len(_uploads(world)) == 2
    world.clock.advance(minutes=20)
    await world.exchange.leavings.drop_files()
    assert [digest async for digest in world.files.digests()] == [digest_of(LONG)]
    assert [path.stat().st_size for path in _uploads(world)] == [1000]


async def test_an_upload_whose_file_is_gone_is_asked_for_again(world: World, g22: Node, h23: Node) -> None:
    """A submission that seems complete, but lost a file to an accident, is completed anew, not accepted without it."""
    data = g22.seal(document("G22", "H23", attachments=[LONG, LONG[::-1]])).data
    first, second = (await g22.client.submit(data, {})).uploads
    contents = {digest_of(LONG): LONG, digest_of(LONG[::-1]): LONG[::-1]}
    await g22.client.upload(first.location, 0, _pieces(contents[first.digest]))
    for path in _uploads(world):
        path.unlink()
    still = (await g22.client.submit(data, {})).uploads
    assert {(each.digest, each.offset) for each in still} == {(first.digest, 0), (second.digest, 0)}


async def test_the_service_sweeps_at_once_and_ends_when_it_is_stopped(world: World, g22: Node, h23: Node) -> None:
    """A hub that was down for a month expires what is overdue as it starts."""
    await g22.send(document("G22", "H23"))
    world.clock.advance(days=31)
    stop = asyncio.Event()
    service = asyncio.create_task(sweep_service(world.exchange.expiry, world.exchange.leavings)(stop))
    assert len((await g22.fetch(wait=30)).entries) == 1
    stop.set()
    await asyncio.wait_for(service, 10)


def _uploads(world: World) -> list[Path]:
    return list((world.folder / "attachments" / "uploads").iterdir())


async def test_nothing_ends_by_a_clock_that_is_in_doubt(world: World, g22: Node, h23: Node) -> None:
    """A clock that goes years ahead, of the server's or of the time that passed, ends no delivery and drops nothing."""
    await g22.send(document("G22", "H23"))
    (entry,) = await h23.envelopes()
    await h23.report(entry, "G22")
    await g22.send(document("G22", "H23"))
    ahead = [timedelta()]
    agreed = AgreedClock(world.database, lambda: utc_now() + ahead[0], passed=lambda: 0.0)
    ahead[0] = timedelta(days=9999)

    def duties(now: CertainClock) -> list[Callable[[], Awaitable[object]]]:
        exchange, files, settings = world.exchange, world.files, world.exchange.settings
        leavings = Leavings(world.database, files, exchange.uploads, now=now, settings=settings.submissions)
        retention = Retention(world.database, leavings, now=now, settings=RetentionSettings(payload_days=1))
        expiry = Expiry(world.database, exchange.expiry._endings, exchange.expiry._meters, now)
        return [expiry.run, retention.step, leavings.drop_submissions, leavings.drop_files]

    for duty in duties(agreed.now):
        with pytest.raises(ClockDiffers):
            await duty()
    assert (await balance_of(world.database)).overall == Tally(2, 1, 0, 0, 0, 1)
    assert await world.count("envelopes") == 2
    for duty in duties(certain(lambda: utc_now() + ahead[0])):
        await duty()
    assert (await balance_of(world.database)).overall == Tally(2, 1, 0, 1, 0, 0)
    assert await world.count("envelopes") < 2
