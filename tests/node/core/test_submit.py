"""Submitting: what is taken, what is refused with which words, and that a key gives one message."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from certs.unsealing import open_seal
from node.store import directory as directory_store
from node.store.metadata import Transaction
from node.store.states import OutboxState
from schemas.codes import AgencyCode
from schemas.envelope import SecrecyLevel
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.message import Business, BusinessType, Document, Message, ReplacementInfo, StatusCode, StatusMessage
from schemas.travel import parse_envelope, read_envelope
from tests.node.core.asking import arrives, outbox_row
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import SETTINGS, Node, eventually, open_node
from tests.node.core.world import (
    G22,
    H23,
    H23_12,
    H31,
    OLDER_H31,
    World,
    digest_of,
    document,
    envelope,
    recall,
    status,
    suspended,
)
from tests.services.columns import ON_SQLITE, DatabaseColumn

Question: TypeAlias = Callable[[Transaction], object]
Ask: TypeAlias = Callable[[Question], Awaitable[object]]


async def sealed_message(node: Node, message_id: str) -> Document:
    message = read_envelope(parse_envelope(await node.queries.sealed(message_id))).message
    assert isinstance(message, Document)
    return message


async def test_what_was_submitted_is_sealed_and_queued_whole(node: Node, tmp_path: Path) -> None:
    """After submit the sealed envelope, its recipients, and its attachments by digest and size are on record."""
    small, large = tmp_path / "phụ lục.csv", tmp_path / "công văn.pdf"
    small.write_bytes(b"a,b\n")
    large.write_bytes(bytes(100_000))
    message_id = await node.submit(document(H23, G22, OLDER_H31), large, small)
    data = await node.queries.sealed(message_id)
    sealed = read_envelope(parse_envelope(data))
    assert open_seal(data).message_id == message_id
    assert isinstance(sealed.message, Document)
    assert [(ref.attachment_name, ref.content_id) for ref in sealed.message.references] == [
        ("công văn.pdf", f"sha256-{digest_of(bytes(100_000))}"),
        ("phụ lục.csv", f"sha256-{digest_of(b'a,b' + bytes([10]))}"),
    ]
    assert [size.size for size in sealed.extension.attachment_sizes] == [100_000, 4]
    assert [trace.organ_id for trace in sealed.message.trace] == [H23]
    row = await outbox_row(node, message_id)
    assert row.state is OutboxState.READY
    assert [(recipient.code, recipient.written) for recipient in row.recipients] == [(G22, G22), (H31, OLDER_H31)]
    assert sealed.message.trace[0].timestamp.instant == row.created_at.replace(microsecond=0)
    assert await node.blobs.size(digest_of(bytes(100_000))) == 100_000
    async with node.attachments.open(digest_of(b"a,b\n")) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == b"a,b\n"


@ON_SQLITE
async def test_a_submission_asks_the_record_once(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose it is, whether its key is known and whom it goes to is one question, in one snapshot, before the write."""
    path = tmp_path / "thư.pdf"
    path.write_bytes(b"%PDF-1.7")
    asked: list[str] = []
    for name in ("read", "glance"):
        ask = getattr(node.database, name)

        def noted(question: Question, name: str = name, ask: Ask = ask) -> Awaitable[object]:
            asked.append(name)
            return ask(question)

        monkeypatch.setattr(node.database, name, noted)
    await node.submit(document(), path)
    assert asked == ["glance"]


async def test_the_directory_is_asked_of_an_agency_once_a_version(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sender and recipient of many messages are looked up for the first; what a version says of them never changes."""
    asked: list[AgencyCode] = []
    ask = directory_store.standing

    def noted(
        transaction: Transaction, code: AgencyCode, version: int | None = None
    ) -> directory_store.Standing | None:
        asked.append(code)
        return ask(transaction, code, version)

    monkeypatch.setattr(directory_store, "standing", noted)
    for number in range(3):
        await node.submit(document(H23, G22), key=f"{number}")
    assert sorted(asked) == [G22, H23]


async def test_two_files_with_equal_bytes_keep_their_names(node: Node, tmp_path: Path) -> None:
    """Attachments with the same content are one blob under two names."""
    first, second = tmp_path / "một.txt", tmp_path / "hai.txt"
    first.write_bytes(b"same")
    second.write_bytes(b"same")
    sealed = await sealed_message(node, await node.submit(document(), first, second))
    assert [reference.attachment_name for reference in sealed.references] == ["một.txt", "hai.txt"]
    assert len({reference.content_id for reference in sealed.references}) == 1


async def test_the_same_key_gives_the_same_message(node: Node) -> None:
    """A key submitted again, also at the same time, is the message that it was; with other content it is a conflict."""
    names = await asyncio.gather(*(node.submit(document(), key="once") for _ in range(5)))
    assert len(set(names)) == 1
    assert len(await node.queries.outbox()) == 1
    recorded = await node.database.read(lambda c: c.exec_driver_sql("SELECT message_id FROM messages").scalars().all())
    assert recorded == names[:1]
    with pytest.raises(Rejected) as caught:
        await node.submit(document(), key="once", content="other")
    assert caught.value.code == "key-conflict"


async def test_a_key_is_one_adapters_and_one_agencys(node: Node) -> None:
    """The same key of another agency is another message."""
    names = {await node.submit(document(H23), key="k"), await node.submit(document(H23_12), key="k")}
    assert len(names) == 2


@ON_SQLITE
async def test_two_processes_with_one_key_make_one_message(node: Node, world: World, tmp_path: Path) -> None:
    """Two processes that submit one key at the same moment get one message id, and one row is in the outbox."""
    arguments = [sys.executable, "-m", "tests.node.core.submitting_process", str(world.folder), str(tmp_path / "node")]
    processes = [
        await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    answers = [(await process.communicate())[0].decode().split() for process in processes]
    assert answers[0][0] == answers[1][0]
    assert sorted(answer[1] for answer in answers) == ["False", "True"]
    assert [row.message.message_id for row in await node.queries.outbox()] == [answers[0][0]]


REFUSALS: dict[str, tuple[Message, str]] = {
    "sender-not-served": (document(G22, H23), "H23"),
    "recipient-unknown": (document(H23, AgencyCode("H32")), "H31"),
    "recipient-suspended": (document(H23, AgencyCode("H99")), "H99"),
    "recipient-repeated": (document(H23, G22, G22), "G22"),
    "no-recipient": (replace(document(), recipients=()), ""),
    "document-unknown": (status(H23, document(G22, H23)), "H23,2026/11/21,61/UBND-VP"),
    "text-not-carried": (document(subject="nul \x00 byte"), "U+0000"),
}


@pytest.mark.parametrize("rule", REFUSALS)
async def test_what_cannot_be_sent_is_refused_with_the_reason(
    node: Node, hub: HubSimulator, world: World, rule: str
) -> None:
    """What breaks a rule raises it by name, with words that name the thing, and leaves nothing in the outbox."""
    world.publish(agencies=[suspended(AgencyCode("H99"), "h31")])
    await node.directory.sync(node.hub)
    message, named = REFUSALS[rule]
    assert isinstance(message, Document | StatusMessage)
    with pytest.raises(Rejected) as caught:
        await node.submit(message)
    assert caught.value.code == rule
    assert named in str(caught.value)
    assert await node.queries.outbox() == ()


@pytest.mark.parametrize("level", SecrecyLevel)
async def test_a_state_secret_never_enters(node: Node, level: SecrecyLevel) -> None:
    """A submission marked with any level of secrecy is refused and not stored."""
    with pytest.raises(Rejected) as caught:
        await node.submit(document(), secrecy=level)
    assert caught.value.code == "secrecy-forbidden"
    assert await node.queries.outbox() == ()


async def test_an_expiry_travels_with_the_message(node: Node) -> None:
    """What the submission says of its end is sealed; what is over already is refused and not stored."""
    with pytest.raises(Rejected) as caught:
        await node.submit(document(), expires_at=node.clock())
    assert caught.value.code == "already-expired"
    assert await node.queries.outbox() == ()
    expires_at = node.clock() + timedelta(hours=2)
    message_id = await node.submit(document(), expires_at=expires_at)
    sealed = read_envelope(parse_envelope(await node.queries.sealed(message_id)))
    assert sealed.extension.expires_at == expires_at


async def test_limits_are_kept_before_anything_is_stored(node: Node, tmp_path: Path) -> None:
    """An attachment above the limit, several above it together, and too many of them are refused; no blob stays."""
    limits = replace(
        SETTINGS.limits.limits(), attachment_bytes=100_000, message_attachment_bytes=150_000, attachments=2
    )
    node.submitter._limits = limits
    path, large = tmp_path / "a", tmp_path / "b"
    path.write_bytes(bytes(90_000))
    large.write_bytes(bytes(100_001))
    for files, rule in (
        ((large,), "attachment-too-large"),
        ((path, path), "attachment-too-large"),
        ((path, path, path), "too-many-attachments"),
    ):
        with pytest.raises(Rejected) as caught:
            await node.submit(document(), *files)
        assert caught.value.code == rule
    with pytest.raises(Rejected) as caught:
        await node.submit(document(), tmp_path / "missing")
    assert caught.value.code == "file-missing"
    assert await node.queries.outbox() == ()


async def test_without_a_directory_submitting_waits(
    world: World, hub: HubSimulator, tmp_path: Path, column: DatabaseColumn
) -> None:
    """Before the first version of the directory has come, submit says that it is for later."""
    async with open_node(tmp_path / "fresh", world.identity(), hub.url, column) as node:
        with pytest.raises(Unavailable) as caught:
            await node.submit(document())
        assert caught.value.code == "directory-missing"
        await node.directory.sync(node.hub)
        await node.submit(document())


@ON_SQLITE
async def test_a_full_disk_is_said_and_leaves_nothing(node: Node, tmp_path: Path) -> None:
    """When the database is full, submit raises storage-full and leaves neither message nor attachment behind."""
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(60_000))
    limit = await node.database.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    await node.database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {limit}").scalar_one())
    with pytest.raises(CongvanError) as caught:
        await node.submit(document(), path)
    assert isinstance(caught.value, Unavailable)
    assert caught.value.code == "storage-full"
    assert await node.queries.outbox() == ()
    assert await node.attachments.small(digest_of(bytes(60_000))) is None
    await node.database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar_one())
    await node.submit(document(), path)


async def test_a_status_finds_the_newest_document_of_that_name(node: Node, hub: HubSimulator, world: World) -> None:
    """A classic status knows a DocumentId; it speaks of the newest document from that agency that carries it."""
    original = document(G22, H23)
    named = [world.sealed(envelope(original, submission_id=str(number))) for number in range(2)]
    async with node.running("receiver"):
        for sealed in named:
            hub.deliver(sealed.data, [H23])
            await arrives(node, sealed.message_id)
    message_id = await node.submit(status(H23, original))
    story = await node.queries.story(message_id)
    assert story.message.about == (named[1].message_id,)
    assert story.outbox is not None
    assert [recipient.code for recipient in story.outbox.recipients] == [G22]


async def test_an_agency_that_did_not_get_the_document_may_not_report_on_it(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """Another agency of this node cannot answer a document that came for its neighbour."""
    original = document(G22, H23)
    sealed = world.sealed(envelope(original))
    hub.deliver(sealed.data, [H23])
    async with node.running("receiver"):
        await arrives(node, sealed.message_id)
    with pytest.raises(Rejected) as caught:
        await node.submit(status(H23_12, original))
    assert caught.value.code == "document-unknown"
    with pytest.raises(Rejected) as caught:
        await node.submit(status(H23_12, original), about=[sealed.message_id])
    assert caught.value.code == "about-not-allowed"


async def test_a_replacement_speaks_of_all_that_it_replaces(node: Node) -> None:
    """The documents that a replacement, an update or a recall names by DocumentId are resolved from the outbox."""
    names = [
        await node.submit(document(document_id=f"H23,2026/11/21,{number}/UBND"), key=str(number)) for number in (1, 2)
    ]
    infos = tuple(ReplacementInfo(document_id=f"H23,2026/11/21,{number}/UBND") for number in (1, 2))
    replacement = replace(
        document(document_id="H23,2026/11/22,3/UBND"),
        business=Business(type=BusinessType.REPLACE, reason="Thay thế", paper=False, replacements=infos),
    )
    story = await node.queries.story(await node.submit(replacement, key="3"))
    assert story.message.about == tuple(names)
    assert story.outbox is not None
    assert story.outbox.state is OutboxState.HELD
    update = replace(
        document(document_id="H23,2026/11/22,4/UBND"),
        business=Business(
            type=BusinessType.UPDATE, reason="Cập nhật", paper=False, document_id="H23,2026/11/21,1/UBND"
        ),
    )
    assert (await node.queries.story(await node.submit(update, key="4"))).message.about == (names[0],)


async def test_a_recall_of_an_unknown_document_says_so(node: Node) -> None:
    """A recall whose document was never sent from here is refused, naming the DocumentId."""
    with pytest.raises(Rejected) as caught:
        await node.submit(recall(document()))
    assert caught.value.code == "document-unknown"
    assert caught.value.element == "MessageHeader/ResponseFor/DocumentId"


async def test_an_answer_by_command_goes_to_the_documents_sender_once(
    node: Node, hub: HubSimulator, world: World
) -> None:
    """`respond` sends a status about a received document, by its id's beginning or DocumentId; repeated, it is one."""
    original = document(G22, H23, document_id="G22,2026/11/20,7/VPCP")
    sealed = world.sealed(envelope(original))
    hub.deliver(sealed.data, [H23])
    async with node.running("receiver"):
        await arrives(node, sealed.message_id)
    first = await node.responder.respond(sealed.message_id[:10], StatusCode.ACCEPTED, description="Đã nhận đủ")
    again = await node.responder.respond("G22,2026/11/20,7/VPCP", StatusCode.ACCEPTED, description="Đã nhận đủ")
    other = await node.responder.respond("G22,2026/11/20,7/VPCP", StatusCode.FINISHED)
    assert (first.message_id, first.repeated) == (again.message_id, False)
    assert again.repeated
    assert other.message_id != first.message_id
    row = await outbox_row(node, first.message_id)
    assert row.message.about == (sealed.message_id,)
    assert row.message.description == "Đã nhận đủ"
    assert [recipient.code for recipient in row.recipients] == [G22]
    assert row.state is OutboxState.HELD or row.state is OutboxState.READY


async def test_an_answer_for_several_agencies_must_name_one(node: Node, hub: HubSimulator, world: World) -> None:
    """Where a document came for two agencies of this node, `respond` asks which of them answers."""
    sealed = world.sealed(envelope(document(G22, H23, H23_12)))
    hub.deliver(sealed.data, [H23, H23_12])
    async with node.running("receiver"):
        await arrives(node, sealed.message_id)
    with pytest.raises(Rejected) as caught:
        await node.responder.respond(sealed.message_id, StatusCode.ACCEPTED)
    assert caught.value.code == "from-ambiguous"
    submitted = await node.responder.respond(sealed.message_id, StatusCode.ACCEPTED, from_code=H23_12)
    assert (await outbox_row(node, submitted.message_id)).message.sender == H23_12
    with pytest.raises(Rejected) as caught:
        await node.responder.respond(sealed.message_id, StatusCode.ACCEPTED, from_code=G22)
    assert caught.value.code == "from-not-recipient"


async def test_taking_back_goes_to_the_recipients(node: Node) -> None:
    """Status 13 speaks of a document of ours and goes to all its recipients, after the document itself."""
    ours = await node.submit(document(H23, G22, H31))
    submitted = await node.responder.respond(ours, StatusCode.TAKEN_BACK)
    row = await outbox_row(node, submitted.message_id)
    assert [recipient.code for recipient in row.recipients] == [G22, H31]
    assert row.state is OutboxState.HELD


async def test_submissions_wake_the_sender_at_once(node: Node, hub: HubSimulator) -> None:
    """A running sender takes a new message without waiting for its next look."""
    async with node.running("sender"):
        await asyncio.sleep(0.2)
        message_id = await node.submit(document())
        await eventually(lambda: message_id in hub.accepted)
