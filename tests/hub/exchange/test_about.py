"""Messages about messages: who may say what, where it goes, and how urgently."""

from __future__ import annotations

import pytest

from schemas.directory import EntryStatus
from schemas.envelope import Selector, SelectorKind
from schemas.errors import CongvanError
from schemas.message import BusinessType, Priority, StatusCode
from schemas.status_order import ANSWERS
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document, status
from tests.hub.exchange.nodes import Node, rejection
from transport.wire import OutcomeKind

REPORTS = [code for code in StatusCode if code is not StatusCode.TAKEN_BACK]
SUCCESSORS = [BusinessType.RECALL, BusinessType.UPDATE, BusinessType.REPLACE]


def _said(error: CongvanError) -> tuple[str, str, str | None]:
    return error.code, error.message, error.element


@pytest.mark.parametrize("code", [code for code in REPORTS if code not in ANSWERS])
async def test_a_recipients_status_goes_to_the_sender_of_the_document(code: StatusCode, g22: Node, h23: Node) -> None:
    """A status names no recipient: it goes to whoever sent what it speaks of, by the hub's record."""
    about = (await g22.send(document("G22", "H23.12"))).message_id
    answer = await h23.send(status("H23.12", code, about))
    (entry,) = await g22.envelopes()
    assert (entry.message_id, entry.recipients) == (answer.message_id, ("G22",))


@pytest.mark.parametrize("code", sorted(ANSWERS))
@pytest.mark.parametrize("business", SUCCESSORS)
async def test_an_answer_speaks_of_a_recall_or_an_update(
    code: StatusCode, business: BusinessType, g22: Node, h23: Node, h31: Node
) -> None:
    """15 and 16 come from a recipient of the recall or update, about that very message, and go to who asked."""
    about = (await g22.send(document("G22", "H23"))).message_id
    asked = (await g22.send(document("G22", "H23", business=business, about=(about,)))).message_id
    of_the_document = await rejection(h23.send(status("H23", code, about)))
    assert of_the_document.code == "about-not-allowed"
    of_a_stranger = await rejection(h31.send(status("H31", code, asked)))
    assert of_a_stranger.code == "about-unknown"
    if business is BusinessType.REPLACE:
        assert (await rejection(h23.send(status("H23", code, asked)))).code == "about-not-allowed"
        return
    answer = await h23.send(status("H23", code, asked))
    (entry,) = await g22.envelopes()
    assert (entry.message_id, entry.recipients) == (answer.message_id, ("G22",))


@pytest.mark.parametrize("business", SUCCESSORS)
async def test_a_successor_may_go_to_other_recipients_than_its_predecessor(
    business: BusinessType, g22: Node, h23: Node, h31: Node
) -> None:
    """Receivers come and go: the sender alone decides whom a recall, update or replacement is for."""
    about = (await g22.send(document("G22", "H23", "H23.12"))).message_id
    answer = await g22.send(document("G22", "H23.12", "H31", business=business, about=(about,)))
    (entry,) = await h31.envelopes()
    assert (entry.message_id, entry.recipients) == (answer.message_id, ("H31",))
    assert [(one.message_id, one.recipients) for one in await h23.envelopes()] == [
        (about, ("H23", "H23.12")),
        (answer.message_id, ("H23.12",)),
    ]


async def test_a_recipient_may_report_under_its_older_code(g22: Node, h23: Node) -> None:
    """An agency is the same by its older code."""
    about = (await g22.send(document("G22", "H23"))).message_id
    await h23.send(status("000.00.00.H23", StatusCode.ACCEPTED, about))
    assert len(await g22.envelopes()) == 1


async def test_a_document_that_is_taken_back_goes_to_all_its_recipients(g22: Node, h23: Node, h31: Node) -> None:
    """Status 13 goes from the sender to everybody that the document went to."""
    about = (await g22.send(document("G22", "H23", "H23.13", "H31"))).message_id
    for node in (h23, h31):
        await node.envelopes()
    answer = await g22.send(status("G22", StatusCode.TAKEN_BACK, about))
    (haiduong,), (hungyen,) = await h23.envelopes(), await h31.envelopes()
    assert (haiduong.message_id, haiduong.recipients) == (answer.message_id, ("H23", "H23.13"))
    assert (hungyen.message_id, hungyen.recipients) == (answer.message_id, ("H31",))


async def test_a_status_leaves_out_recipients_that_are_suspended_since(
    world: World, g22: Node, h23: Node, h31: Node
) -> None:
    """Whom the hub itself finds is not named by anybody: who is not active is left out and reported."""
    about = (await g22.send(document("G22", "H23", "H31"))).message_id
    await world.set_status("H31", EntryStatus.SUSPENDED)
    answer = await g22.send(status("G22", StatusCode.TAKEN_BACK, about))
    assert answer.left_out == ("H31",)
    await world.set_status("G22", EntryStatus.SUSPENDED)
    error = await rejection(h23.send(status("H23", StatusCode.ACCEPTED, about)))
    assert (error.code, error.element) == ("recipient-suspended", "Extension/About")


@pytest.mark.parametrize("code", REPORTS)
async def test_the_sender_reports_nothing_on_its_own_document(code: StatusCode, g22: Node, h23: Node) -> None:
    """Statuses other than 13 are for recipients."""
    about = (await g22.send(document("G22", "H23"))).message_id
    error = await rejection(g22.send(status("G22", code, about)))
    assert (error.code, error.element) == ("about-not-allowed", "Extension/About")


async def test_a_recipient_does_not_take_a_document_back(g22: Node, h23: Node) -> None:
    """Status 13 is the sender's alone."""
    about = (await g22.send(document("G22", "H23"))).message_id
    error = await rejection(h23.send(status("H23", StatusCode.TAKEN_BACK, about)))
    assert error.code == "about-not-allowed"


async def test_another_agency_of_the_recipients_node_does_not_report(g22: Node, h23: Node) -> None:
    """One node serves many agencies; the one that did not get the document says nothing of it."""
    about = (await g22.send(document("G22", "H23"))).message_id
    error = await rejection(h23.send(status("H23.12", StatusCode.ACCEPTED, about)))
    assert error.code == "about-not-allowed"


@pytest.mark.parametrize("business", SUCCESSORS)
async def test_only_its_sender_recalls_updates_or_replaces_a_document(
    business: BusinessType, g22: Node, h23: Node
) -> None:
    """A recipient may not recall, update or replace what it got; the sender may."""
    about = (await g22.send(document("G22", "H23"))).message_id
    error = await rejection(h23.send(document("H23", "G22", business=business, about=(about,))))
    assert error.code == "about-not-allowed"
    await g22.send(document("G22", "H23", business=business, about=(about,)))
    assert len(await h23.envelopes()) == 2


async def test_a_message_of_others_is_answered_exactly_as_one_that_does_not_exist(
    g22: Node, h23: Node, h31: Node
) -> None:
    """Whoever neither sent nor received a message cannot even learn that there is one."""
    about = (await g22.send(document("G22", "H23"))).message_id
    for make in (
        lambda named: status("H31", StatusCode.ACCEPTED, named),
        lambda named: document("H31", "G22", business=BusinessType.RECALL, about=(named,)),
        lambda named: document("H31", "G22", about=(named,)),
    ):
        held = await rejection(h31.send(make(about)))
        missing = await rejection(h31.send(make("0" * 64)))
        assert _said(held) == _said(missing)
        assert held.code == "about-unknown"


async def test_a_new_document_may_name_what_it_answers(g22: Node, h23: Node) -> None:
    """An answer to a document may name it, whoever of the two sends it."""
    about = (await g22.send(document("G22", "H23"))).message_id
    await h23.send(document("H23", "G22", about=(about,)))
    assert len(await g22.envelopes()) == 1


async def test_a_status_speaks_of_one_document(g22: Node, h23: Node) -> None:
    """A status about two messages, or about a status, is refused."""
    first = (await g22.send(document("G22", "H23"))).message_id
    second = (await g22.send(document("G22", "H23"))).message_id
    error = await rejection(h23.send(status("H23", StatusCode.ACCEPTED, first, second)))
    assert error.code == "about-repeated"
    third = (await h23.send(status("H23", StatusCode.ACCEPTED, first))).message_id
    error = await rejection(g22.send(status("G22", StatusCode.ACCEPTED, third)))
    assert error.code == "about-not-allowed"


async def test_statuses_and_receipts_ride_in_the_lane_of_their_document(g22: Node, h23: Node) -> None:
    """What is said about an express document overtakes what is said about others."""
    for priority in (Priority.NORMAL, Priority.EXPRESS):
        await g22.send(document("G22", "H23", priority=priority))
    express, normal = await h23.envelopes()
    for entry in (normal, express):
        await h23.report(entry, "G22")
        await h23.send(status("H23", StatusCode.ARRIVED, entry.message_id))
    kinds = [entry.kind for entry in (await g22.fetch()).entries]
    assert kinds == ["receipt", "envelope", "receipt", "envelope"]


async def test_an_express_successor_lifts_its_predecessor(g22: Node, h23: Node) -> None:
    """An express recall must not arrive before the document that it recalls: that comes along, before other mail."""
    bulk = [(await g22.send(document("G22", "H23"))).message_id for _ in range(3)]
    answer = await g22.send(
        document("G22", "H23", business=BusinessType.RECALL, about=(bulk[2],), priority=Priority.EXPRESS)
    )
    assert [entry.message_id for entry in await h23.envelopes()] == [bulk[2], answer.message_id, *bulk[:2]]


async def test_a_selector_takes_the_active_and_tells_whom_it_left_out(world: World, g22: Node, h23: Node) -> None:
    """A prefix finds every active agency at or below it; suspended ones are reported, not refused."""
    await world.set_status("H23.13", EntryStatus.SUSPENDED)
    for value in ("H23", "000.00.00.H23"):
        answer = await g22.send(document("G22", selectors=(Selector(SelectorKind.PREFIX, value),)))
        assert answer.left_out == ("H23.13",)
        trace = await g22.client.message(answer.message_id)
        assert [delivery.recipient for delivery in trace.deliveries] == ["H23", "H23.12"]


async def test_a_selector_leaves_the_sender_itself_out(g22: Node, h23: Node) -> None:
    """A circular to all below oneself does not come back to oneself."""
    answer = await h23.send(document("H23", selectors=(Selector(SelectorKind.PREFIX, "H23"),)))
    trace = await h23.client.message(answer.message_id)
    assert [delivery.recipient for delivery in trace.deliveries] == ["H23.12", "H23.13"]


async def test_selectors_that_cover_each_other_take_each_agency_once(g22: Node, h23: Node) -> None:
    """A prefix below another one, or the same one by its older code, adds nobody."""
    selectors = tuple(Selector(SelectorKind.PREFIX, value) for value in ("H23", "H23.12", "000.00.00.H23", "H23"))
    answer = await g22.send(document("G22", "H23.13", selectors=selectors))
    trace = await g22.client.message(answer.message_id)
    assert [delivery.recipient for delivery in trace.deliveries] == ["H23", "H23.12", "H23.13"]


async def test_questions_to_the_books_are_bounded(g22: Node, h23: Node) -> None:
    """A message cannot make the hub look up thousands of messages or prefixes."""
    about = tuple(f"{number:064x}" for number in range(101))
    error = await rejection(g22.send(document("G22", "H23", business=BusinessType.REPLACE, about=about)))
    assert (error.code, error.element) == ("too-many-about", "Extension/About")
    selectors = tuple(Selector(SelectorKind.PREFIX, f"H23.{number}") for number in range(101))
    error = await rejection(g22.send(document("G22", selectors=selectors)))
    assert (error.code, error.element) == ("too-many-selectors", "Extension/Selector[101]")


async def test_a_repeat_is_told_again_whom_the_selector_left_out(world: World, g22: Node, h23: Node) -> None:
    """The answer to a repeat is the answer that was given, also where the directory has changed since."""
    await world.set_status("H23.13", EntryStatus.SUSPENDED)
    data = g22.seal(document("G22", selectors=(Selector(SelectorKind.PREFIX, "H23"),))).data
    first = await g22.client.submit(data, {})
    await world.set_status("H23.13", EntryStatus.ACTIVE)
    assert (await g22.client.submit(data, {})).left_out == first.left_out == ("H23.13",)


class TestTrace:
    """Who sees what of a message's way."""

    async def test_the_sender_sees_every_delivery_and_its_receipts(
        self, world: World, g22: Node, h23: Node, h31: Node
    ) -> None:
        """Leased, delivered, refused: each where it stands, with the receipts so far."""
        answer = await g22.send(document("G22", "H23", "H23.12", "H31", priority=Priority.URGENT))
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22", codes=("H23",))
        (other,) = await h31.envelopes()
        await h31.report(other, "G22", OutcomeKind.REFUSED)
        trace = await g22.client.message(answer.message_id)
        states = {delivery.recipient: delivery.state for delivery in trace.deliveries}
        assert states == {"H23": "delivered", "H23.12": "leased", "H31": "refused"}
        assert (trace.sender, trace.kind, trace.priority) == ("G22", "document", 1)
        assert len(trace.receipts) == 3
        assert {receipt.proof for receipt in trace.receipts} == set(trace.proofs)

    async def test_a_recipient_sees_its_own_delivery_alone(self, g22: Node, h23: Node, h31: Node) -> None:
        """Whom else a document went to, a recipient does not learn from the hub."""
        answer = await g22.send(document("G22", "H23", "H31"))
        (entry,) = await h31.envelopes()
        await h31.report(entry, "G22")
        trace = await h23.client.message(answer.message_id)
        assert [(delivery.recipient, delivery.state) for delivery in trace.deliveries] == [("H23", "queued")]
        assert len(trace.receipts) == 1

    async def test_for_everybody_else_there_is_no_such_message(self, g22: Node, h23: Node, h31: Node) -> None:
        """A stranger gets the answer that a message which does not exist gets."""
        answer = await g22.send(document("G22", "H23"))
        held = await rejection(h31.client.message(answer.message_id))
        missing = await rejection(h31.client.message("0" * 64))
        malformed = await rejection(h31.client.message("x"))
        assert _said(held) == _said(missing) == _said(malformed)
        assert held.code == "message-unknown"
