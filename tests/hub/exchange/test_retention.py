"""Retention: payloads go a set time after the last delivery ended; all that was said about them stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.settings_exchange import RetentionSettings
from hub.usecases import retention as retention_module
from hub.usecases.balance import balance_of
from hub.usecases.leavings import Leavings
from hub.usecases.retention import Retention
from runtime.blob_folder import BlobFolder
from runtime.database import Database
from schemas.errors import Unavailable
from tests.clocks import certain
from tests.hub.exchange.conftest import Running, World
from tests.hub.exchange.documents import digest_of, document
from tests.hub.exchange.nodes import Node, rejection
from tests.hub.exchange.test_replays import received
from transport.wire import OutcomeKind, SubmissionState

LONG = bytes(range(256)) * 1200
SHORT = b"A page of text."


async def _purge(world: World, *, days: float = 30) -> None:
    settings = RetentionSettings(payload_days=days)
    retention = Retention(world.database, world.exchange.leavings, now=certain(world.clock), settings=settings)
    while await retention.step():
        pass


async def _payloads(world: World) -> tuple[int, int, int]:
    """How many envelopes, short attachments and files are held."""

    def held(name: str) -> Callable[..., int]:
        return lambda transaction: transaction.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()

    return (
        await world.database.read(held("envelopes")),
        await world.database.read(held("blobs WHERE content IS NOT NULL")),
        len([digest async for digest in world.files.digests()]),
    )


async def _deliver(node: Node, sender: str) -> None:
    for entry in await node.envelopes():
        await node.report(entry, sender)


async def test_a_payload_goes_a_set_time_after_its_last_delivery_and_its_metadata_stay(
    world: World, g22: Node, h23: Node
) -> None:
    """Bytes go after 30 days, not before; trace, balance, receipts and the answer to a repeat stay as they were."""
    sealed = g22.seal(document("G22", "H23", attachments=[LONG, SHORT]))
    brought = {digest_of(content): content for content in (LONG, SHORT)}
    acknowledged = await g22.client.submit(sealed.data, brought)
    world.clock.advance(days=3)
    await _deliver(h23, "G22")
    trace = await g22.client.message(sealed.message_id)
    balance = await balance_of(world.database)
    world.clock.advance(days=30, seconds=-1)
    await _purge(world)
    assert await _payloads(world) == (1, 1, 1)
    world.clock.advance(seconds=1)
    await _purge(world)
    assert await _payloads(world) == (0, 0, 0)
    assert await g22.client.message(sealed.message_id) == trace
    assert await balance_of(world.database) == balance
    repeated = await g22.client.submit(sealed.data, {})
    assert repeated.state is SubmissionState.ACCEPTED
    assert repeated.acknowledgement == acknowledged.acknowledgement
    assert await _payloads(world) == (0, 0, 0)


async def test_nothing_goes_while_one_delivery_is_open(world: World, g22: Node, h23: Node) -> None:
    """The time counts from the end of the last delivery, however long the others are over."""
    other = await world.join("phongba", "H24")
    await g22.send(document("G22", "H23", "H24"))
    await _deliver(h23, "G22")
    world.clock.advance(days=6)
    await _purge(world, days=5)
    assert await _payloads(world) == (1, 0, 0)
    await _deliver(other, "G22")
    world.clock.advance(days=4)
    await _purge(world, days=5)
    assert await _payloads(world) == (1, 0, 0)
    world.clock.advance(days=2)
    await _purge(world, days=5)
    assert await _payloads(world) == (0, 0, 0)


async def test_a_refused_and_an_expired_delivery_are_over_too(world: World, g22: Node, h23: Node) -> None:
    """What nobody will fetch any more is not kept for ever."""
    await g22.send(document("G22", "H23"))
    (entry,) = await h23.envelopes()
    await h23.report(entry, "G22", OutcomeKind.REFUSED)
    await g22.send(document("G22", "H23"))
    world.clock.advance(days=30)
    await world.exchange.expiry.run()
    await _purge(world)
    assert await _payloads(world) == (1, 0, 0)
    world.clock.advance(days=30)
    await _purge(world)
    assert await _payloads(world) == (0, 0, 0)


@pytest.mark.parametrize("content", [LONG, SHORT], ids=["file", "row"])
async def test_a_shared_attachment_stays_until_the_last_message_that_names_it(
    content: bytes, world: World, g22: Node, h23: Node
) -> None:
    """The purge of one message takes nothing from another, and an attachment that went can come again."""
    digest = digest_of(content)

    async def read(node: Node) -> bytes:
        async with node.client.blob(digest, start=0, lease="0:0") as chunks:
            return b"".join([chunk async for chunk in chunks])

    await g22.send(document("G22", "H23", attachments=[content]), content)
    await _deliver(h23, "G22")
    world.clock.advance(days=20)
    await g22.send(document("G22", "H23", attachments=[content]), content)
    await _deliver(h23, "G22")
    world.clock.advance(days=10)
    await _purge(world)
    assert await world.count("envelopes") == 1
    assert await read(h23) == content
    world.clock.advance(days=20)
    await _purge(world)
    assert await _payloads(world) == (0, 0, 0)
    await g22.send(document("G22", "H23", attachments=[content]), content)
    await world.exchange.leavings.drop_files()
    assert await read(h23) == content


async def test_whoever_could_read_an_attachment_is_told_that_it_was_purged(world: World, g22: Node, h23: Node) -> None:
    """Sender and recipients get 410 `payload-purged` with the day; anyone else learns nothing."""
    other = await world.join("phongba", "H24")
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    await _deliver(h23, "G22")
    world.clock.advance(days=30)
    await _purge(world)

    async def refusal(node: Node) -> str:
        async def read() -> None:
            async with node.client.blob(digest_of(LONG), start=0, lease="0:0"):
                pass

        error = await rejection(read())
        if error.code == "payload-purged":
            assert f"{world.clock():%Y-%m-%d}" in error.message
        return error.code

    assert [await refusal(node) for node in (g22, h23, other)] == ["payload-purged", "payload-purged", "blob-unknown"]


async def test_entries_of_fetched_receipts_go_and_waiting_ones_stay(world: World, g22: Node, h23: Node) -> None:
    """A sender that was away gets its receipts although the payload is gone; fetched ones leave the mailbox."""
    await g22.send(document("G22", "H23"))
    await g22.send(document("G22", "H23"))
    await _deliver(h23, "G22")
    first, _ = await g22.receipts()
    await g22.received(first)
    world.clock.advance(days=30)
    await _purge(world)
    assert await world.count("envelopes") == 0
    assert await world.count("mailbox_entries WHERE receipt IS NOT NULL") == 1
    (waiting,) = await g22.receipts()
    await g22.received(waiting)
    world.clock.advance(days=30)
    await _purge(world)
    assert await world.count("mailbox_entries WHERE receipt IS NOT NULL") == 0
    assert await world.count("receipts") == 4
    assert await world.count("messages WHERE kept_from IS NOT NULL") == 0


async def test_a_receipt_fetched_late_comes_again_to_a_sender_that_was_put_back(
    world: World, g22: Node, h23: Node
) -> None:
    """The time to keep a receipt's entry counts from when it was fetched, however long the delivery is over."""
    await g22.send(document("G22", "H23"))
    await _deliver(h23, "G22")
    world.clock.advance(days=31)
    (receipt,) = await g22.receipts()
    await received(g22, receipt, mark=7)
    await _purge(world)
    world.clock.advance(days=29)
    await _purge(world)
    assert (await g22.client.replays(6)).reopened == 1
    (again,) = await g22.receipts()
    assert again.receipt == receipt.receipt
    await received(g22, again, mark=7)
    for left in (1, 0):
        world.clock.advance(days=15)
        await _purge(world)
        assert await world.count("mailbox_entries WHERE receipt IS NOT NULL") == left
    assert await world.count("messages WHERE kept_from IS NOT NULL") == 0


async def test_a_delivery_offered_anew_in_the_same_moment_keeps_its_payload(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found due in a snapshot is looked at again in the transaction that drops it."""
    await g22.send(document("G22", "H23"))
    await _deliver(h23, "G22")
    world.clock.advance(days=5)
    drop = retention_module._drop

    def reopen_and_drop(transaction, **found):
        transaction.exec_driver_sql("UPDATE mailbox_entries SET open = true WHERE receipt IS NULL")
        return drop(transaction, **found)

    monkeypatch.setattr(retention_module, "_drop", reopen_and_drop)
    await _purge(world, days=5)
    assert await _payloads(world) == (1, 0, 0)
    assert len(await h23.envelopes()) == 1


@pytest.mark.parametrize("stop_at", range(6))
async def test_a_purge_that_is_killed_anywhere_is_finished_by_the_next(
    stop_at: int, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step is the last before the end, the next start drops the rest, and never what is needed."""
    monkeypatch.setattr(retention_module, "_MESSAGES", 2)
    monkeypatch.setattr(retention_module, "_ENTRIES", 2)
    kept = LONG[::-1]
    async with running() as world:
        g22, h23 = await world.join("vpcp", "G22"), await world.join("haiduong", "H23", "H23.12")
        for content in (LONG, LONG + b"1", LONG + b"2"):
            await g22.send(document("G22", "H23", "H23.12", attachments=[content, kept]), content, kept)
        await _deliver(h23, "G22")
        for entry in await g22.receipts():
            await g22.received(entry)
        world.clock.advance(days=30)
        await g22.send(document("G22", "H23", attachments=[kept]), kept)
        write, collect, left = Database.write, BlobFolder.collect, stop_at

        def step() -> None:
            nonlocal left
            if left == 0:
                raise Unavailable("killed", "The process is gone.")
            left -= 1

        async def write_and_die(self, work):
            step()
            return await write(self, work)

        async def collect_and_die(self, digest, *, placed_before):
            step()
            return await collect(self, digest, placed_before=placed_before)

        with monkeypatch.context() as patch:
            patch.setattr(Database, "write", write_and_die)
            patch.setattr(BlobFolder, "collect", collect_and_die)
            with pytest.raises(Unavailable):
                await _purge(world)
    async with running() as world:
        await _purge(world)
        await world.exchange.leavings.drop_files()
        assert await _payloads(world) == (1, 0, 1)
        assert await world.files.size(digest_of(kept)) == len(kept)
        assert await world.count("mailbox_entries WHERE receipt IS NOT NULL") == 0


async def test_an_attachment_named_again_before_its_file_goes_keeps_the_file(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the purge's commit and the end of the file a new message may bring the same attachment."""
    await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
    await _deliver(h23, "G22")
    world.clock.advance(days=30)
    drop_unnamed = Leavings.drop_unnamed

    async def send_and_drop(self, digests):
        await g22.send(document("G22", "H23", attachments=[LONG]), LONG)
        await drop_unnamed(self, digests)

    monkeypatch.setattr(Leavings, "drop_unnamed", send_and_drop)
    assert await world.exchange.retention.step()
    assert await world.files.size(digest_of(LONG)) == len(LONG)


async def test_a_wide_circular_is_dropped_in_short_transactions(
    world: World, g22: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many receipts a message has, each transaction drops no more entries than it may."""
    monkeypatch.setattr(retention_module, "_ENTRIES", 3)
    codes = [f"H30.{number}" for number in range(10)]
    wide = await world.join("wide", *codes)
    await g22.send(document("G22", *codes))
    await _deliver(wide, "G22")
    for entry in await g22.receipts():
        await g22.received(entry)
    world.clock.advance(days=30)
    before = await world.count("mailbox_entries")
    assert await world.exchange.retention.step()
    assert before - await world.count("mailbox_entries") == 3
    await _purge(world)
    assert await world.count("mailbox_entries") == 1


async def test_zero_days_keep_every_payload(world: World, g22: Node, h23: Node) -> None:
    """The operator may keep all for ever."""
    await g22.send(document("G22", "H23"))
    await _deliver(h23, "G22")
    world.clock.advance(days=36_500)
    await _purge(world, days=0)
    assert await _payloads(world) == (1, 0, 0)
    await _purge(world, days=36_499)
    assert await _payloads(world) == (0, 0, 0)
