"""What a node does for any adapter: statuses, what was sent, the directory."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from adapters.sdk import DeliveryKey, Standing, StatusReport, Submission, Submitted
from node.usecases.facade import SUBMISSIONS
from schemas.errors import Rejected
from schemas.message import DocumentCode, StaffInfo, StatusCode
from tests.node.core.asking import outbox_row, statuses_sent
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import G22, H23, H23_12, H31, OLDER_H31, World, document, envelope, recall


async def came(node: Node, hub: HubSimulator, *envelopes: bytes) -> None:
    for data in envelopes:
        hub.deliver(data, [H23])

    async def all_here() -> bool:
        return (await node.queries.status()).inbox == len(envelopes)

    async with node.running("receiver"):
        await eventually(all_here)


async def test_a_report_is_one_status_however_often_it_is_made(node: Node, hub: HubSimulator, world: World) -> None:
    """The same key with the same words is the same message; with other words it is refused."""
    sealed = world.sealed(envelope(document(G22, H23)))
    await came(node, hub, sealed.data)
    report = StatusReport(
        key="7",
        delivery=DeliveryKey(sealed.message_id, H23),
        status=StatusCode.ACCEPTED,
        staff=StaffInfo(staff="Nguyễn Thị Lan"),
    )
    first = await node.facade.report(report)
    again = await node.facade.report(report)
    assert (again.message_id, again.repeated) == (first.message_id, True)
    assert [code for code, _ in await statuses_sent(node)] == ["01", "03"]
    with pytest.raises(Rejected) as caught:
        await node.facade.report(
            StatusReport(key="7", delivery=report.delivery, status=StatusCode.PROCESSING, reason="Xem")
        )
    assert caught.value.code == "key-conflict"


async def test_nobody_reports_on_what_did_not_come_for_them(node: Node, hub: HubSimulator, world: World) -> None:
    """Another agency of the node, and a message that is not here, are told the same."""
    sealed = world.sealed(envelope(document(G22, H23)))
    await came(node, hub, sealed.data)
    for key in (DeliveryKey(sealed.message_id, H23_12), DeliveryKey("0" * 64, H23)):
        with pytest.raises(Rejected) as caught:
            await node.facade.report(StatusReport(key="1", delivery=key, status=StatusCode.ACCEPTED))
        assert caught.value.code == "delivery-unknown"


async def test_what_was_sent_is_listed_page_by_page(node: Node) -> None:
    """The newest first, each once; by sender, DocumentId or message id; with where each recipient stands."""
    ids = [await node.submit(document(H23, G22, document_id=f"H23,{number}"), key=str(number)) for number in range(3)]
    other = await node.submit(document(H23_12, G22, H31, document_id="H23.12,1"), key="other")
    first = await node.facade.sent(limit=3)
    rest = await node.facade.sent(limit=3, after=first[-1].cursor)
    assert [one.message_id for one in [*first, *rest]] == [other, *reversed(ids)]
    assert [one.message_id for one in await node.facade.sent(senders=[H23_12])] == [other]
    assert [one.message_id for one in await node.facade.sent(document_id="H23,1")] == [ids[1]]
    (shown,) = await node.facade.sent(message_id=other)
    assert shown.code == DocumentCode(number="61", notation="UBND-VP")
    assert (shown.adapter, shown.key, shown.accepted_at, shown.refused) == ("test", "other", None, None)
    assert [(one.code, one.standing) for one in shown.recipients] == [(G22, Standing.WAITING), (H31, Standing.WAITING)]
    with pytest.raises(Rejected) as caught:
        await node.facade.sent(after="1; DROP")
    assert caught.value.code == "cursor-malformed"


async def test_a_document_of_ours_is_taken_back_by_its_sender_alone(node: Node) -> None:
    """Status 13 speaks of what was sent here, and goes to its recipients."""
    original = document(H23, G22)
    sent = await node.submit(original)
    await node.submit(recall(original), key="recall")
    taken_back = await node.facade.report(
        StatusReport(key="back", delivery=DeliveryKey(sent, H23), status=StatusCode.TAKEN_BACK)
    )
    row = await outbox_row(node, taken_back.message_id)
    assert (row.message.status, [one.code for one in row.recipients]) == (StatusCode.TAKEN_BACK, [G22])
    with pytest.raises(Rejected) as caught:
        await node.facade.report(
            StatusReport(key="1", delivery=DeliveryKey(sent, H23_12), status=StatusCode.TAKEN_BACK)
        )
    assert caught.value.code == "about-not-allowed"


async def test_agencies_are_looked_up_page_by_page(node: Node) -> None:
    """By code, below a code, by words of the name without their marks, by an older code; each with its older codes."""
    everyone = [entry.code for entry in await node.facade.agencies()]
    assert everyone == [G22, H23, H23_12, H31]
    assert [entry.code for entry in await node.facade.agencies(after="H23", limit=1)] == [H23_12]
    assert [entry.code for entry in await node.facade.agencies(under=H23)] == [H23, H23_12]
    assert [entry.code for entry in await node.facade.agencies("hai duong", under=H23_12)] == [H23_12]
    (found,) = await node.facade.agencies(OLDER_H31.value)
    assert (found.code, found.older_codes) == (H31, (OLDER_H31,))


async def test_an_adapter_that_floods_waits_for_itself(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounded number of one adapter's submissions is worked on at once, and another adapter's go on beside them."""
    released = asyncio.Event()
    under_way: Counter[str] = Counter()

    async def submit(adapter: str, _submission: Submission) -> Submitted:
        under_way[adapter] += 1
        await released.wait()
        return Submitted("0" * 64, repeated=False)

    monkeypatch.setattr(node.submitter, "submit", submit)
    flooding, other = node.facade_of("flooding"), node.facade_of("other")
    submission = Submission(key="1", fingerprint="0" * 64, message=document(H23, G22))
    tasks = [asyncio.create_task(flooding.submit(submission)) for _ in range(3 * SUBMISSIONS)]
    tasks.append(asyncio.create_task(other.submit(submission)))
    await asyncio.sleep(0.05)
    assert under_way == {"flooding": SUBMISSIONS, "other": 1}
    released.set()
    await asyncio.gather(*tasks)
    assert under_way["flooding"] == 3 * SUBMISSIONS
