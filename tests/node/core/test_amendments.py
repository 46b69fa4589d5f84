"""Recall, update, replace: what goes to whom, in one act, and how the answers close what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from node.store import companions, messages, recipients
from node.store.records import OutboxRow, RecipientRow
from node.store.states import CompanionRole, DeliveryState, HandoverState, OutboxState, RequestState, Standing
from node.usecases.amendments import Change
from schemas.codes import AgencyCode
from schemas.envelope import Envelope
from schemas.errors import Rejected
from schemas.message import (
    Business,
    BusinessDocumentInfo,
    BusinessType,
    Document,
    Priority,
    Receiver,
    ReceiverType,
    StatusCode,
)
from schemas.travel import parse_envelope, read_envelope
from tests.node.core.asking import becomes, handed, outbox_row
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, attachment
from tests.node.core.test_statuses import rejection
from tests.node.core.world import G22, H23, H23_12, H31, World, digest_of, document, envelope, recall, status

MISTAKE = Change(reason="Ban hành nhầm")
NEWS = Change(reason="Sửa", metadata={"subject": "Trích yếu mới"})


async def sent(node: Node, message_id: str) -> Envelope:
    """A message of ours, as it was sealed."""
    data = await node.database.read(partial(messages.sealed, message_id=message_id))
    assert data is not None
    return read_envelope(parse_envelope(data))


async def said(node: Node, message_id: str) -> Document:
    message = (await sent(node, message_id)).message
    assert isinstance(message, Document)
    return message


def to(message: Document) -> list[AgencyCode]:
    return [organ.organ_id for organ in message.recipients]


async def recipient(node: Node, message_id: str, code: AgencyCode) -> RecipientRow:
    row = await outbox_row(node, message_id)
    return next(one for one in row.recipients if one.code == code)


async def rows(node: Node) -> list[OutboxRow]:
    """The outbox, oldest first."""
    return list(reversed(await node.queries.outbox(limit=1000)))


async def answered(
    node: Node, hub: HubSimulator, world: World, about: str, answer: tuple[AgencyCode, StatusCode, str]
) -> None:
    """Have the answer of a recipient arrive: of whom, which, and in which words."""
    code, status_code, text = answer
    message = status(code, document(), status_code, text=text)
    sealed = world.sealed(envelope(message, about=[about], submission_id=f"{code}-{about}-{status_code}"))
    hub.deliver(sealed.data, [H23])
    async with node.running():
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)


async def test_a_recall_asks_everybody_and_closes_with_each_answer(node: Node, hub: HubSimulator, world: World) -> None:
    """All who have the document are asked; 15 makes it recalled there, 16 leaves it where it was, with the reason."""
    ours = await node.submit(document(H23, G22, H31))
    asked = (await node.amendments.recall(ours, MISTAKE)).message_id
    message = await said(node, asked)
    assert (message.business_type, to(message), message.references) == (BusinessType.RECALL, [G22, H31], ())
    assert message.response_for[0].document_id == document().document_id
    assert (await sent(node, asked)).extension.about == (ours,)
    (open_,) = (await recipient(node, ours, G22)).requests
    assert (open_.state, open_.message_id) == (RequestState.OPEN, asked)

    await answered(node, hub, world, asked, (G22, StatusCode.REQUEST_AGREED, ""))
    await answered(node, hub, world, ours, (H31, StatusCode.PROCESSING, ""))
    await answered(node, hub, world, asked, (H31, StatusCode.REQUEST_REFUSED, "Đã thực hiện"))
    assert (await recipient(node, ours, G22)).standing is Standing.RECALLED
    kept = await recipient(node, ours, H31)
    assert (kept.standing, kept.requests[0].state, kept.requests[0].reason) == (
        Standing.PROCESSING,
        RequestState.REFUSED,
        "Đã thực hiện",
    )
    assert [one.standing for one in (await outbox_row(node, asked)).recipients] == [Standing.AGREED, Standing.DECLINED]

    # Who refused may be asked again; who agreed has nothing left to give back.
    again = await node.amendments.recall(ours, MISTAKE)
    assert to(await said(node, again.message_id)) == [H31]
    assert (await rejection(node.amendments.recall(ours, MISTAKE))).code == "already-recalled"


async def test_the_first_answer_counts(node: Node, hub: HubSimulator, world: World) -> None:
    """A request is closed once: a second answer is handed over, and changes nothing."""
    ours = await node.submit(document(H23, G22))
    asked = (await node.amendments.recall(ours, MISTAKE)).message_id
    await answered(node, hub, world, asked, (G22, StatusCode.REQUEST_AGREED, ""))
    await answered(node, hub, world, asked, (G22, StatusCode.REQUEST_REFUSED, "Thôi"))
    assert (await recipient(node, ours, G22)).standing is Standing.RECALLED


async def test_a_recall_of_some_names_only_holders(node: Node) -> None:
    """--to asks those alone; whoever did not get the document cannot give it back; nor does what came be recalled."""
    ours = await node.submit(document(H23, G22, H31))
    asked = await node.amendments.recall(ours, MISTAKE, to=[H31])
    assert to(await said(node, asked.message_id)) == [H31]
    assert (await rejection(node.amendments.recall(ours, MISTAKE, to=[H23_12]))).code == "receiver-unknown"
    for order in (node.amendments.recall(ours, MISTAKE, to=[]), node.amendments.replace([ours], MISTAKE, to=[])):
        assert (await rejection(order)).code == "recipient-missing"
    assert len(await rows(node)) == 2


async def test_what_came_is_not_recalled_here(node: Node, hub: HubSimulator, world: World) -> None:
    """Only a document's sender recalls, updates or replaces it."""
    sealed = world.sealed(envelope(document(G22, H23)))
    hub.deliver(sealed.data, [H23])
    async with node.running("receiver", "handover"):
        await handed(node, sealed.message_id, HandoverState.HANDED_OVER)
    for work in (
        node.amendments.recall(sealed.message_id, MISTAKE),
        node.amendments.update(sealed.message_id, MISTAKE, add=[H31]),
        node.amendments.replace([sealed.message_id], MISTAKE),
    ):
        assert (await rejection(work)).code == "not-sent-here"


async def test_a_recall_of_what_has_not_been_sent_waits_for_it(node: Node, hub: HubSimulator) -> None:
    """A document still in the outbox goes first, in the recall's lane; then the recall."""
    waiting = await node.submit(document(H23, G22, subject="Khác"), key="other")
    ours = await node.submit(document(H23, G22), key="normal")
    urgent = replace(recall(document(H23, G22, priority=Priority.EXPRESS)))
    asked = await node.submit(urgent, about=[ours], key="recall")
    assert (await outbox_row(node, asked)).state is OutboxState.HELD
    async with node.running("sender"):
        await becomes(node, asked, OutboxState.ACCEPTED)
        await becomes(node, waiting, OutboxState.ACCEPTED)
    assert hub.order.index(ours) < hub.order.index(asked)


async def test_a_recall_of_what_the_hub_refuses_is_refused_with_it(node: Node, hub: HubSimulator) -> None:
    """Nobody has the document, so nobody is asked: the recall is refused, says of what, and asks nothing any more."""
    ours = await node.submit(document(H23, G22))
    asked = (await node.amendments.recall(ours, MISTAKE)).message_id
    hub.faults.refuse = lambda name: Rejected("policy", "Không nhận.") if name == ours else None
    async with node.running("sender"):
        row = await becomes(node, asked, OutboxState.REFUSED)
    assert row.trouble is not None
    assert (row.trouble.code, ours in row.trouble.text) == ("predecessor-refused", True)
    assert (await recipient(node, ours, G22)).requests == ()
    assert hub.order == []
    assert (await rejection(node.amendments.update(ours, MISTAKE, add=[H31]))).code == "predecessor-refused"


async def test_an_update_says_what_the_document_says_now(node: Node, tmp_path: Path) -> None:
    """Metadata and files of an update stand in the place of the old; what it does not say stays as it was."""
    path = tmp_path / "mới.pdf"
    path.write_bytes(b"new")
    ours = await node.submit(document(H23, G22, H31))
    change = Change(reason="Gia hạn", metadata={"due_date": "2026-12-15"}, attachments=[attachment(path)])
    update = await said(node, (await node.amendments.update(ours, change)).message_id)
    assert (update.due_date and update.due_date.text, update.subject) == ("2026/12/15", document().subject)
    assert [one.attachment_name for one in update.references] == ["mới.pdf"]
    assert update.business is not None
    assert update.business.document_info == BusinessDocumentInfo(document_info=True, document_receiver=False)
    assert (update.business.document_id, to(update)) == (document().document_id, [G22, H31])
    assert update.document_id != document().document_id
    assert (await rejection(node.amendments.update(ours, MISTAKE))).code == "nothing-to-update"
    odd = Change(reason="x", metadata={"to": ["H31"]})
    assert (await rejection(node.amendments.update(ours, odd))).code == "metadata-invalid"


async def test_an_update_of_receivers_is_one_act_of_several_messages(
    node: Node, tmp_path: Path, hub: HubSimulator
) -> None:
    """Who stays gets the update, the added the document, the removed a recall; the same key gives the same ids."""
    path = tmp_path / "công văn.pdf"
    path.write_bytes(b"%PDF")
    ours = await node.submit(document(H23, G22, H23_12), path)
    change = replace(MISTAKE, key="sửa nơi nhận")
    update = (await node.amendments.update(ours, change, add=[H31], remove=[G22])).message_id
    row = await outbox_row(node, update)
    by_role = {one.role: one.message_id for one in row.companions}
    copy, taken_back = by_role[CompanionRole.COPY], by_role[CompanionRole.RECALL]

    assert to(await said(node, update)) == [H23_12]
    fresh = await said(node, copy)
    assert (fresh.business_type, to(fresh), fresh.document_id) == (BusinessType.NEW, [H31], document().document_id)
    assert [one.content_id for one in fresh.references] == [f"sha256-{digest_of(b'%PDF')}"]
    recalled = await said(node, taken_back)
    assert (recalled.business_type, to(recalled)) == (BusinessType.RECALL, [G22])
    assert (await sent(node, taken_back)).extension.about == (ours,)
    assert (await sent(node, copy)).extension.about == ()

    count = len(await rows(node))
    again = await node.amendments.update(ours, change, add=[H31], remove=[G22])
    assert (again.message_id, again.repeated, len(await rows(node))) == (update, True, count)
    conflict = node.amendments.update(ours, change, add=[H31])
    assert (await rejection(conflict)).code == "key-conflict"
    async with node.running("sender"):
        for name in (update, copy, taken_back):
            await becomes(node, name, OutboxState.ACCEPTED)
    assert hub.sent(copy).brought == {digest_of(b"%PDF"): b"%PDF"}


async def test_who_holds_a_copy_is_spoken_to_about_the_copy(node: Node) -> None:
    """A later recall names to each the message that brought the document there; who was removed is not asked again."""
    ours = await node.submit(document(H23, G22, H23_12))
    update = (await node.amendments.update(ours, MISTAKE, add=[H31], remove=[G22])).message_id
    copy = next(one.message_id for one in (await outbox_row(node, ours)).companions if one.role is CompanionRole.COPY)
    asked = (await node.amendments.recall(document().document_id, MISTAKE)).message_id
    (part,) = (await outbox_row(node, asked)).companions
    assert {
        tuple(to(await said(node, name))): (await sent(node, name)).extension.about for name in (asked, part.message_id)
    } == {(H23_12,): (ours,), (H31,): (copy,)}
    assert (await rejection(node.amendments.update(copy, MISTAKE, remove=[G22]))).code == "receiver-unknown"
    assert update != asked


async def test_a_copy_says_what_the_document_says_by_then(node: Node, tmp_path: Path) -> None:
    """Who is added after an update of the content gets that content, and the files that nobody changed."""
    path = tmp_path / "cũ.pdf"
    path.write_bytes(b"old")
    ours = await node.submit(document(H23, G22), path)
    await node.amendments.update(ours, Change(reason="Sửa", metadata={"subject": "Trích yếu mới"}))
    await node.amendments.update(ours, MISTAKE, add=[H31])
    copy = next(one.message_id for one in (await outbox_row(node, ours)).companions if one.role is CompanionRole.COPY)
    fresh = await said(node, copy)
    assert (fresh.subject, fresh.document_id) == ("Trích yếu mới", document().document_id)
    assert [one.attachment_name for one in fresh.references] == ["cũ.pdf"]


async def test_updates_count_where_only_copies_are_left(node: Node) -> None:
    """What an update said to a holder of a copy, or while nobody kept the document, later receivers get as well."""
    ours = await node.submit(document(H23, G22))
    await node.amendments.update(ours, MISTAKE, add=[H31], remove=[G22])
    await node.amendments.update(ours, Change(reason="Sửa", metadata={"subject": "Lần một"}))
    second = await node.amendments.update(ours, MISTAKE, add=[G22])
    assert await _copies(node, ours) == [([H31], document().subject), ([G22], "Lần một")]
    assert to(await said(node, second.message_id)) == [H31]

    # Nobody stays: no update goes out, and the copy alone says what has changed.
    change = Change(reason="Sửa", metadata={"subject": "Lần hai"})
    await node.amendments.update(ours, change, add=[H23_12], remove=[H31, G22])
    await node.amendments.update(ours, MISTAKE, add=[H31])
    assert (await _copies(node, ours))[2:] == [([H23_12], "Lần hai"), ([H31], "Lần hai")]


async def _copies(node: Node, document_id: str) -> list[tuple[list[AgencyCode], str]]:
    """To whom copies of a document went, and under which subject, the oldest first."""
    rows = (await outbox_row(node, document_id)).companions
    copies = [await said(node, one.message_id) for one in rows if one.role is CompanionRole.COPY]
    return [(to(copy), copy.subject) for copy in copies]


@pytest.mark.parametrize("end", [DeliveryState.EXPIRED, DeliveryState.CANCELLED, DeliveryState.REFUSED])
async def test_who_never_got_the_document_is_added_and_not_asked(node: Node, end: DeliveryState) -> None:
    """A delivery that ended before it arrived leaves nothing to give back or update; the receiver may be added anew."""
    ours = await node.submit(document(H23, G22, H31))
    await node.database.write(partial(_ended, message_id=ours, code=H31, end=end))
    for order in (node.amendments.recall(ours, MISTAKE, to=[H31]), node.amendments.update(ours, MISTAKE, remove=[H31])):
        error = await rejection(order)
        assert (error.code, f"its delivery was {end}" in error.message) == ("receiver-unknown", True)
    assert to(await said(node, (await node.amendments.update(ours, NEWS)).message_id)) == [G22]
    await node.amendments.update(ours, MISTAKE, add=[H31])
    assert await _copies(node, ours) == [([H31], "Trích yếu mới")]
    assert (await rejection(node.amendments.update(ours, MISTAKE, add=[H31]))).code == "receiver-present"


async def test_what_nobody_got_is_not_recalled(node: Node) -> None:
    """Where every delivery ended on its way nobody is asked, and the error says how; a new receiver may be added."""
    ours = await node.submit(document(H23, G22))
    await node.database.write(partial(_ended, message_id=ours, code=G22, end=DeliveryState.EXPIRED))
    for order in (node.amendments.recall(ours, MISTAKE), node.amendments.update(ours, NEWS)):
        error = await rejection(order)
        assert (error.code, "G22 expired" in error.message) == ("never-arrived", True)
    await node.amendments.update(ours, MISTAKE, add=[G22])
    asked = await node.amendments.recall(ours, MISTAKE)
    assert to(await said(node, asked.message_id)) == [G22]
    again = await rejection(node.amendments.recall(ours, MISTAKE, to=[G22]))
    assert "was asked to give the document back already" in again.message


def _ended(connection: Connection, message_id: str, code: AgencyCode, end: DeliveryState) -> None:
    recipients.advance(connection, message_id, code, end, at=datetime.now(UTC), trouble=None)


async def test_receivers_may_change_altogether(node: Node) -> None:
    """Where nobody stays there is no update to send: the document goes to the new, the recall to the old."""
    ours = await node.submit(document(H23, G22))
    first = (await node.amendments.update(ours, MISTAKE, add=[H31], remove=[G22])).message_id
    names = [row.message.message_id for row in await rows(node)]
    assert len(names) == 3
    assert first == names[1]
    assert [to(await said(node, name)) for name in names[1:]] == [[H31], [G22]]
    held = await node.database.read(partial(companions.holders, document=ours, with_former=False))
    assert {one.code: name for name, one in held} == {H31: first}


@pytest.mark.parametrize(
    ("code", "kind", "rule"),
    [
        (G22, ReceiverType.ADDED, "receiver-present"),
        (H31, ReceiverType.REMOVED, "receiver-unknown"),
        (AgencyCode("H99"), ReceiverType.ADDED, "recipient-unknown"),
    ],
)
async def test_receivers_that_cannot_be_are_named(node: Node, code: AgencyCode, kind: ReceiverType, rule: str) -> None:
    """Who has the document is not added, who has not is not removed; the error names the place, nothing is queued."""
    ours = await node.submit(document(H23, G22, H23_12))
    error = await rejection(node.submit(_update(H23_12, {code: kind}), about=[ours], key="update"))
    assert error.code == rule
    assert (error.element or "").endswith("ReceiverList/Receiver/OrganId")
    assert len(await rows(node)) == 1


async def test_software_that_updates_receivers_gets_the_same(node: Node) -> None:
    """An update that an adapter submits, with the added in To as some write it, comes to the same messages."""
    ours = await node.submit(document(H23, G22, H23_12))
    message = _update(H31, {H31: ReceiverType.ADDED, G22: ReceiverType.REMOVED})
    update = await node.submit(message, key="update")
    assert to(await said(node, update)) == [H23_12]
    roles = {one.role: one.message_id for one in (await outbox_row(node, update)).companions}
    assert [to(await said(node, roles[role])) for role in (CompanionRole.COPY, CompanionRole.RECALL)] == [[H31], [G22]]
    assert await node.submit(message, key="update") == update
    assert len(await rows(node)) == 4
    assert (await outbox_row(node, ours)).state is OutboxState.READY


def _update(recipient: AgencyCode, receivers: Mapping[AgencyCode, ReceiverType]) -> Document:
    info = BusinessDocumentInfo(
        document_info=False,
        document_receiver=True,
        receivers=tuple(Receiver(organ_id=code, receiver_type=kind) for code, kind in receivers.items()),
    )
    business = Business(
        type=BusinessType.UPDATE, document_id=document().document_id, reason="Sửa", paper=False, document_info=info
    )
    return replace(document(H23, recipient), document_id="H23,2026/11/22,62/UBND-VP", business=business)


async def test_what_goes_together_is_queued_together_or_not_at_all(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure at the last of the messages leaves none of them; the same key then does all of it."""
    ours = await node.submit(document(H23, G22, H23_12))
    change = replace(MISTAKE, key="k")
    add, calls = companions.add, 0

    def failing(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("the machine stops here")
        add(*arguments)  # type: ignore[arg-type]  # the function's own

    with monkeypatch.context() as broken:
        broken.setattr(companions, "add", failing)
        with pytest.raises(RuntimeError):
            await node.amendments.update(ours, change, add=[H31], remove=[G22])
    assert [row.message.message_id for row in await rows(node)] == [ours]
    assert (await recipient(node, ours, G22)).requests == ()
    await node.amendments.update(ours, change, add=[H31], remove=[G22])
    assert len(await rows(node)) == 4


async def test_a_replacement_speaks_to_each_of_what_it_had(node: Node, tmp_path: Path) -> None:
    """Who had both documents is told of both, who had one of that one, and who had none gets a new document."""
    path = tmp_path / "mới.pdf"
    path.write_bytes(b"new")
    first = await node.submit(document(H23, G22, H23_12), key="1")
    second = await node.submit(document(H23, G22, document_id="H23,2026/11/21,62/UBND-VP"), key="2")
    change = Change(
        reason="Gộp hai văn bản",
        metadata={"code": "63/UBND-VP", "date": "2026-11-22", "subject": "Văn bản gộp"},
        attachments=[attachment(path)],
    )
    new = (await node.amendments.replace([first, second], change, to=[G22, H23_12, H31])).message_id
    names = [new, *(one.message_id for one in (await outbox_row(node, new)).companions)]
    about = {tuple(to(await said(node, name))): (await sent(node, name)).extension.about for name in names}
    assert about == {(G22,): (first, second), (H23_12,): (first,), (H31,): ()}
    for name in names:
        message = await said(node, name)
        assert (message.document_id, message.subject) == ("H23,2026/11/22,63/UBND-VP", "Văn bản gộp")
        assert [one.attachment_name for one in message.references] == ["mới.pdf"]
    business = (await said(node, new)).business
    assert business is not None
    assert [(one.document_id, one.organ_ids) for one in business.replacements or ()] == [
        (document().document_id, (G22, H23_12)),
        ("H23,2026/11/21,62/UBND-VP", (G22,)),
    ]
