"""Guards in a node: asked on both ways, in order, and nothing passes one that refuses, waits, fails or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from adapters.guards.protocol import GuardedMessage, Passes, Refuses, Verdict, Waits, Way
from adapters.guards.secrecy import open_secrecy
from adapters.pdf_signatures import PdfSignature
from adapters.sdk import Awaiting, Delivery, DeliveryKey, Health, Outcome, Override, Submission
from node.http.gauges import GuardGauges
from node.store.states import HandoverState
from node.store.verdicts import GuardVerdict, VerdictKind
from node.usecases.guarding import Post
from schemas.errors import Rejected, Unavailable
from schemas.receipts import ReceiptEvent
from schemas.travel import parse_envelope, read_envelope
from tests.adapters.guards.guarded import context
from tests.node.core.asking import handed, outbox_row, statuses_sent, verified
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually, open_node
from tests.node.core.world import G22, H23, H31, World, digest_of, document, envelope, suspended
from tests.services.columns import ON_SQLITE, DatabaseColumn

BOTH = frozenset(Way)


@dataclass
class Scripted:
    """A guard that says what it is told to, and keeps what it was asked."""

    says: Verdict | Exception | None = field(default_factory=Passes)
    asked: list[GuardedMessage] = field(default_factory=list)
    read: list[bytes] = field(default_factory=list)

    async def judge(self, message: GuardedMessage) -> Verdict:
        self.asked.append(message)
        for each in message.attachments:
            async with each.open(1) as chunks:
                self.read.append(b"".join([chunk async for chunk in chunks]))
        if isinstance(self.says, Exception):
            raise self.says
        if self.says is None:
            await asyncio.Event().wait()
        assert isinstance(self.says, Passes | Refuses | Waits)
        return self.says

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


@dataclass
class Guarded:
    """A node with two guards."""

    node: Node
    first: Scripted
    second: Scripted

    def give(self, seconds: float) -> None:
        """Give each guard so long from now on."""
        self.node.guards.posts = tuple(replace(post, timeout=seconds) for post in self.node.guards.posts)


@pytest.fixture
async def guarded(tmp_path: Path, world: World, hub: HubSimulator, column: DatabaseColumn) -> AsyncIterator[Guarded]:
    first, second = Scripted(), Scripted()
    posts = [Post("first", first, BOTH, 60.0), Post("second", second, BOTH, 60.0)]
    async with open_node(tmp_path / "node", world.identity(), hub.url, column, posts=posts) as node:
        await node.directory.sync(node.hub)
        yield Guarded(node, first, second)


def said(verdicts: tuple[GuardVerdict, ...]) -> list[tuple[str, VerdictKind, str | None]]:
    return [(one.guard, one.verdict, one.code) for one in verdicts]


@pytest.mark.parametrize("size", [100, 100_000])
async def test_guards_read_what_is_sent_and_their_verdicts_stay_with_the_message(
    guarded: Guarded, tmp_path: Path, size: int
) -> None:
    """Each guard in order is given the attachments' bytes before the seal, short and long; what it said is kept."""
    path = tmp_path / "thư.pdf"
    path.write_bytes(bytes(range(100)) * (size // 100))
    guarded.second.says = Passes("Đã xem")
    message_id = await guarded.node.submit(document(H23), path)
    assert guarded.first.read == guarded.second.read == [path.read_bytes()[1:]]
    row = await outbox_row(guarded.node, message_id)
    assert said(row.verdicts) == [("first", VerdictKind.PASSED, None), ("second", VerdictKind.PASSED, None)]
    events = [(step.event, step.text) for step in (await guarded.node.queries.story(message_id)).events]
    assert ("guard.passed", "Passed by first.") in events
    assert ("guard.passed", "second: Đã xem") in events


@ON_SQLITE
async def test_recipients_are_judged_again_after_a_long_guard(guarded: Guarded, world: World) -> None:
    """An agency that is suspended while a guard takes its time is refused as a recipient, though it was one before."""
    node = guarded.node

    class Slow(Scripted):
        async def judge(self, message: GuardedMessage) -> Verdict:
            world.publish(agencies=[suspended(H31, "h31")])
            await node.directory.sync(node.hub)
            node.clock.ahead += timedelta(seconds=5)
            return Passes()

    node.guards.posts = (Post("slow", Slow(), BOTH, 60.0),)
    with pytest.raises(Rejected) as error:
        await node.submit(document(H23, H31))
    assert error.value.code == "recipient-suspended"
    assert await node.queries.outbox() == ()


@ON_SQLITE
async def test_what_a_guard_refuses_is_not_sent(guarded: Guarded) -> None:
    """A refusal on the way out is the caller's, under the guard's rule; no later guard is asked, nothing is queued."""
    guarded.first.says = Refuses("own-rule", "Không được gửi")
    with pytest.raises(Rejected, match="Không được gửi") as error:
        await guarded.node.submit(document(H23))
    assert error.value.code == "own-rule"
    assert guarded.second.asked == []
    assert await guarded.node.queries.outbox() == ()
    guarded.first.says = Passes()
    assert await guarded.node.submit(document(H23))


@ON_SQLITE
async def test_verdicts_are_counted_by_guard_and_way(guarded: Guarded) -> None:
    """The metrics tell how often each guard passed, refused or made wait, on each way; what it was not asked is 0."""
    registry = CollectorRegistry()
    registry.register(GuardGauges(guarded.node.guards))
    await guarded.node.submit(document(H23), key="1")
    guarded.first.says = Waits("scanner-down", "Nobody answers.")
    with pytest.raises(Unavailable):
        await guarded.node.submit(document(H23), key="2")
    guarded.first.says, guarded.second.says = Passes(), Refuses("own-rule", "Không được gửi")
    with pytest.raises(Rejected):
        await guarded.node.submit(document(H23), key="2")

    def counted(guard: str, way: Way) -> list[float | None]:
        return [
            registry.get_sample_value(
                "congvan_node_guard_verdicts_total", {"guard": guard, "way": way, "verdict": verdict}
            )
            for verdict in VerdictKind
        ]

    assert counted("first", Way.OUTGOING) == [2, 0, 1]
    assert counted("second", Way.OUTGOING) == [1, 1, 0]
    assert counted("second", Way.INCOMING) == [0, 0, 0]


@ON_SQLITE
@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (Waits("scanner-down", "Nobody answers."), "scanner-down"),
        (RuntimeError("broken"), "guard-failed"),
        (Rejected("odd", "A guard that raises has not judged."), "odd"),
        (None, "guard-slow"),
    ],
    ids=["waits", "raises", "rejects", "hangs"],
)
async def test_nothing_is_sent_past_a_guard_that_cannot_judge(
    guarded: Guarded, answer: Verdict | Exception | None, rule: str
) -> None:
    """While a guard is down, fails or hangs, a submission is for later, and goes through when the guard is back."""
    guarded.second.says = answer
    guarded.give(60.0 if answer else 0.3)
    with pytest.raises(Unavailable) as error:
        await guarded.node.submit(document(H23))
    assert error.value.code == rule
    assert await guarded.node.queries.outbox() == ()
    guarded.second.says = Passes()
    guarded.give(60.0)
    assert await guarded.node.submit(document(H23))


async def test_what_a_guard_refuses_on_its_way_in_goes_back_as_status_02(
    guarded: Guarded, hub: HubSimulator, world: World
) -> None:
    """The software is not asked; the sender gets a signed failure with the guard's rule, and status 02."""
    guarded.second.says = Refuses("virus-found", "Có mã độc")
    sealed = world.sealed(envelope(document(G22, H23), b"short"))
    hub.deliver(sealed.data, [H23], [b"short"])
    async with guarded.node.running():
        row = await handed(guarded.node, sealed.message_id, HandoverState.REFUSED)
        await eventually(lambda: len(hub.accepted) == 2)
        await eventually(lambda: len(hub.receipts_reported()) == 2)
    assert guarded.node.adapter.deliveries == []
    assert guarded.first.asked[0].recipient == H23
    assert guarded.first.read == [b"hort"]
    assert row.trouble is not None
    assert (row.trouble.code, row.trouble.text) == ("virus-found", "Có mã độc")
    assert said(row.verdicts) == [("first", VerdictKind.PASSED, None), ("second", VerdictKind.REFUSED, "virus-found")]
    receipt = verified(hub.receipts_reported()[1], world)
    assert receipt.event is ReceiptEvent.CONTENT_HANDOVER_FAILURE
    assert receipt.reason is not None
    assert receipt.reason.code == "virus-found"
    assert await statuses_sent(guarded.node) == [("01", sealed.message_id), ("02", sealed.message_id)]


@ON_SQLITE
@pytest.mark.parametrize("answer", [Waits("down", "Down.", seconds=0.01), None], ids=["waits", "hangs"])
async def test_what_comes_in_waits_for_a_guard_that_cannot_judge(
    guarded: Guarded, hub: HubSimulator, world: World, answer: Verdict | Exception | None
) -> None:
    """While a guard cannot judge, the software is handed nothing; then it is handed the document, once."""
    guarded.first.says = answer
    guarded.give(60.0 if answer else 0.3)
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with guarded.node.running():
        await eventually(lambda: len(guarded.first.asked) >= 2)
        waiting = await handed(guarded.node, sealed.message_id, HandoverState.RESTING)
        assert said(waiting.verdicts)[0][:2] == ("first", VerdictKind.WAITS)
        assert guarded.node.adapter.deliveries == []
        guarded.first.says = Passes()
        guarded.give(60.0)
        row = await handed(guarded.node, sealed.message_id, HandoverState.HANDED_OVER)
    assert len(guarded.node.adapter.deliveries) == 1
    assert [verdict.verdict for verdict in row.verdicts] == [VerdictKind.PASSED, VerdictKind.PASSED]


async def test_signatures_that_a_guard_finds_are_shown_to_the_software_and_kept(
    guarded: Guarded, hub: HubSimulator, world: World
) -> None:
    """What was found in an attachment comes with it in every delivery, later ones too, and stands in the record."""
    found = PdfSignature(
        field="Chữ ký 1",
        signer="Nguyễn Thị Lan",
        signed_at=datetime(2026, 11, 21, 8, 0, tzinfo=UTC),
        intact=True,
        covers_whole_file=False,
        modified=True,
        trusted=False,
        fault="Đã bị sửa",
    )
    guarded.first.says = Passes(signatures={digest_of(b"signed"): (found,)})
    sealed = world.sealed(envelope(document(G22, H23), b"signed", b"other"))
    hub.deliver(sealed.data, [H23], [b"signed", b"other"])

    async def leave(_delivery: Delivery) -> Outcome:
        return Awaiting()

    guarded.node.adapter.answer = leave
    async with guarded.node.running():
        row = await handed(guarded.node, sealed.message_id, HandoverState.AWAITING)
    (delivery,) = guarded.node.adapter.deliveries
    assert [attachment.signatures for attachment in delivery.attachments] == [(found,), ()]
    assert row.verdicts[0].signatures == {digest_of(b"signed"): (found,)}
    again = await guarded.node.facade.delivery(DeliveryKey(sealed.message_id, H23))
    assert again == delivery


@ON_SQLITE
async def test_a_guard_watches_the_ways_that_it_is_set_to(
    tmp_path: Path, world: World, hub: HubSimulator, column: DatabaseColumn
) -> None:
    """A guard for what comes in is not asked about what goes out."""
    guard = Scripted(says=Refuses("own-rule", "No."))
    posts = [Post("only", guard, frozenset({Way.INCOMING}), 1.0)]
    async with open_node(tmp_path / "node", world.identity(), hub.url, column, posts=posts) as node:
        await node.directory.sync(node.hub)
        message_id = await node.submit(document(H23))
        assert (await outbox_row(node, message_id)).verdicts == ()
    assert guard.asked == []


@ON_SQLITE
async def test_an_override_is_signed_shown_and_known_at_the_recipient(
    tmp_path: Path, world: World, hub: HubSimulator, column: DatabaseColumn
) -> None:
    """Who answers for a marked document stands in record, story and envelope; the guard at the recipient heeds it."""
    posts = [Post("secrecy", await open_secrecy(context("secrecy")), BOTH, 60.0)]
    who = Override("Trần Văn B", "Đã giải mật ngày 01/11/2026")
    async with open_node(tmp_path / "node", world.identity(), hub.url, column, posts=posts) as node:
        await node.directory.sync(node.hub)
        marked = document(H23, H23, subject="KẾ HOẠCH MẬT")
        with pytest.raises(Rejected, match="MẬT"):
            await node.submit(marked, key="1")
        submission = Submission(key="1", fingerprint=digest_of(b""), message=marked, override=who)
        message_id = (await node.facade.submit(submission)).message_id
        row = await outbox_row(node, message_id)
        assert row.override == who
        assert row.verdicts[0].reason is not None
        events = {step.event: step.text for step in (await node.queries.story(message_id)).events}
        assert who.by in events["guard.overridden"]
        sealed = await node.queries.sealed(message_id)
        assert read_envelope(parse_envelope(sealed)).extension.override == who
        theirs = envelope(document(G22, H23, subject="KẾ HOẠCH MẬT"))
        overridden = world.sealed(replace(theirs, extension=replace(theirs.extension, override=who)))
        bare = world.sealed(envelope(document(G22, H23, subject="KẾ HOẠCH MẬT", document_id="G22,2026/11/22,2/VP")))
        hub.deliver(overridden.data, [H23])
        hub.deliver(bare.data, [H23])
        async with node.running("receiver", "handover"):
            await handed(node, overridden.message_id, HandoverState.HANDED_OVER)
            refused = await handed(node, bare.message_id, HandoverState.REFUSED)
    assert refused.trouble is not None
    assert refused.trouble.code == "secrecy-mark"
    assert [delivery.override for delivery in node.adapter.deliveries] == [who]
