"""Submissions that come several in one request: each stands for itself, and what can be shared is shared."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection
from yarl import URL

from certs.unsealing import OpenedSeal, open_seal
from hub.store import messages
from hub.store.messages import NewMessage
from hub.usecases import judgement
from schemas.errors import CongvanError, Unavailable
from schemas.limits import Limits
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node
from transport import paths
from transport.batches import BATCH_BYTES, MOST, BroughtSubmission, write_batch
from transport.wire import Acknowledgement, SubmissionAnswer, SubmissionState


def _acknowledged(answer: SubmissionAnswer | CongvanError) -> Acknowledgement:
    assert isinstance(answer, SubmissionAnswer), answer
    assert answer.acknowledgement is not None
    return answer.acknowledgement


def _refused(answer: SubmissionAnswer | CongvanError) -> str:
    assert isinstance(answer, CongvanError), answer
    return answer.code


async def test_what_comes_together_is_accepted_under_one_signature(world: World, g22: Node, h23: Node) -> None:
    """Each submission gets its own receipt, all under one proof, and the recipient each with its attachment."""
    contents = [f"Nội dung {number}".encode() for number in range(5)]
    sealed = [g22.seal(document("G22", "H23", attachments=[content])) for content in contents]
    brought = [BroughtSubmission(each.data, [content]) for each, content in zip(sealed, contents, strict=True)]
    acknowledgements = [_acknowledged(answer) for answer in await g22.client.submit_all(brought)]
    assert len({each.proof for each in acknowledgements}) == 1
    assert len({each.receipt for each in acknowledgements}) == 5
    entries = await h23.envelopes()
    assert sorted(entry.envelope for entry in entries) == sorted(each.data for each in sealed)
    assert sorted(content for entry in entries for content in entry.attachments.values()) == sorted(contents)


async def test_none_suffers_for_another(world: World, g22: Node, h23: Node) -> None:
    """Beside one that is accepted: one to nobody, one of another's agency, one broken, one that lacks an attachment,
    one with an attachment that it does not name. Each is answered as it would be by itself."""
    lacking, wrong = document("G22", "H23", attachments=[b"1"]), document("G22", "H23", attachments=[b"2"])
    answers = await g22.client.submit_all([
        BroughtSubmission(g22.seal(document("G22", "H99")).data),
        BroughtSubmission(h23.seal(document("H23", "G22")).data),
        BroughtSubmission(b"<edXML/>"),
        BroughtSubmission(g22.seal(lacking).data),
        BroughtSubmission(g22.seal(wrong).data, [b"3"]),
        BroughtSubmission(g22.seal(document("G22", "H23")).data),
    ])  # fmt: skip
    codes = [_refused(answers[place]) for place in (0, 1, 4)]
    assert codes == ["recipient-unknown", "sender-not-served", "attachment-unexpected"]
    assert isinstance(answers[2], CongvanError)
    assert isinstance(answers[3], SubmissionAnswer)
    assert answers[3].state is SubmissionState.INCOMPLETE
    assert len(answers[3].uploads) == 1
    _acknowledged(answers[5])
    assert await world.count("messages") == 1


async def test_a_fault_of_ours_over_one_is_told_of_that_one(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody foresaw about one envelope is no word about those beside it: they are accepted all the same."""
    sealed = [g22.seal(document("G22", "H23")).data for _ in range(3)]

    def failing(data: bytes, limits: Limits) -> OpenedSeal:
        if data == sealed[1]:
            raise RuntimeError("a fault of ours")
        return open_seal(data, limits)

    for name in ("known_seal", "open_seal"):
        monkeypatch.setattr(judgement, name, failing)
    first, second, third = await g22.client.submit_all([BroughtSubmission(each) for each in sealed])
    assert _acknowledged(first) != _acknowledged(third)
    assert isinstance(second, Unavailable)
    assert second.code == "internal"
    assert await world.count("messages") == 2


async def test_what_needs_the_parser_is_opened_in_a_thread(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop takes what is written as we write it; what else anybody sends, however short, holds up none."""
    opened: list[int] = []

    def noted(data: bytes, limits: Limits) -> OpenedSeal:
        opened.append(threading.get_ident())
        return open_seal(data, limits)

    monkeypatch.setattr(judgement, "open_seal", noted)
    good = g22.seal(document("G22", "H23")).data
    (answer,) = await g22.client.submit_all([BroughtSubmission(good)])
    _acknowledged(answer)
    assert opened == []
    spoilt = good.replace(b"</edXML:SteeringType>", b"9</edXML:SteeringType>")
    again, refused = await g22.client.submit_all([BroughtSubmission(good + b"\n"), BroughtSubmission(spoilt)])
    assert _acknowledged(again) == _acknowledged(answer)
    assert _refused(refused) == "schema-violation"
    assert opened
    assert threading.get_ident() not in opened


async def test_one_that_was_accepted_before_is_answered_as_before(world: World, g22: Node, h23: Node) -> None:
    """Twice in one request, and again in another: one message, one acknowledgement."""
    brought = BroughtSubmission(g22.seal(document("G22", "H23")).data)
    first, second = await g22.client.submit_all([brought, brought])
    world.clock.advance(hours=1)
    (third,) = await g22.client.submit_all([brought])
    assert _acknowledged(first) == _acknowledged(second) == _acknowledged(third)
    assert (await world.count("messages"), await world.count("deliveries")) == (1, 1)


async def test_a_refusal_among_others_is_signed(g22: Node) -> None:
    """Whoever is refused in company has the hub's word for it all the same."""
    (answer,) = await g22.client.submit_all([BroughtSubmission(g22.seal(document("G22", "H99")).data)])
    assert getattr(answer, "receipt", None) is not None


@pytest.mark.parametrize("cut", [1, 4, 7, 20])
async def test_a_request_that_ends_in_the_middle_is_refused_whole(world: World, g22: Node, cut: int) -> None:
    """What cannot be told apart is not taken in part."""
    body = write_batch([BroughtSubmission(g22.seal(document("G22", "H23")).data)])
    headers = {"Content-Type": paths.BATCH_TYPE}
    async with g22.session.post(world.url.join(URL(paths.ENVELOPES)), data=body[:-cut], headers=headers) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (400, "request-malformed")
    assert await world.count("messages") == 0


async def test_more_than_a_request_may_bring_is_refused(world: World, g22: Node) -> None:
    """Neither more submissions than `MOST`, nor more bytes than `BATCH_BYTES`, are read."""
    with pytest.raises(CongvanError) as many:
        await g22.client.submit_all([BroughtSubmission(b"<a/>")] * (MOST + 1))
    assert many.value.code == "request-malformed"
    with pytest.raises(CongvanError) as long:
        await g22.client.submit_all([BroughtSubmission(b"<a/>", [bytes(BATCH_BYTES)])])
    assert long.value.code == "too-large"
    assert await world.count("messages") == 0


async def test_one_that_cannot_be_written_harms_no_other(
    world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written together; where that fails each is tried by itself, and only the one at fault comes again."""
    sealed = [g22.seal(document("G22", "H23")) for _ in range(3)]
    add = messages.add

    def failing(transaction: Connection, new: Sequence[NewMessage]) -> list[int | None]:
        if any(each.message_id == sealed[1].message_id for each in new):
            raise Unavailable("storage-full", "There is no room for this one.")
        return add(transaction, new)

    monkeypatch.setattr(messages, "add", failing)
    answers = await g22.client.submit_all([BroughtSubmission(each.data) for each in sealed])
    assert _refused(answers[1]) == "storage-full"
    assert [_acknowledged(answers[place]).receipt for place in (0, 2)]
    assert sorted(entry.envelope for entry in await h23.envelopes()) == sorted([sealed[0].data, sealed[2].data])
