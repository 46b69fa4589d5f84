"""The operator's hand on deliveries: looked for, queued anew, offered again, cancelled. The balance holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from certs.receipts import ReceiptTrust, verify_receipt
from certs.trust import Trust
from hub.settings_exchange import ExchangeSettings, LifetimeSettings
from hub.store import audit_log, messages, retention
from hub.usecases.balance import Tally, balance_of
from hub.usecases.cancellation import Cancellation, Cancelled
from hub.usecases.delivery_listing import AskedState, Search, search_deliveries
from hub.usecases.endings import Doomed
from hub.usecases.expiry import _EXPIRED
from hub.usecases.redelivery import Redelivered, Redelivery
from schemas.codes import AgencyCode
from schemas.directory import EntryStatus
from schemas.errors import Rejected
from schemas.receipts import Receipt, ReceiptEvent, SignedReceipt
from tests.hub.exchange.conftest import World
from tests.hub.exchange.documents import document
from tests.hub.exchange.nodes import Node, proofs_of, ref_of, rejection
from tests.services.columns import ON_SQLITE
from transport.wire import Outcome, OutcomeKind, OutcomeResult, OutcomesRequest, ReceiptEntry

H23 = AgencyCode("H23")


async def redeliver(world: World, name: str, code: AgencyCode | None = None, *, again: bool = False) -> Redelivered:
    redelivery = Redelivery(world.database, world.clock, LifetimeSettings())
    return await redelivery.redeliver(name, code, again=again, reason="the node was mended", actor="lan")


async def cancel(world: World, name: str, code: AgencyCode | None = None, reason: str = "gửi nhầm") -> Cancelled:
    cancellation = Cancellation(world.database, world.exchange.expiry._endings, world.clock)
    return await cancellation.cancel(name, code, reason=reason, actor="lan")


async def tally(world: World) -> Tally:
    return (await balance_of(world.database)).overall


async def states(world: World, state: AskedState | None = None, **asked: Any) -> list[tuple[str, str]]:
    found = await search_deliveries(world.database, Search(state=state, **asked), world.clock)
    return [(each.recipient, each.state.value) for each in found.deliveries]


async def told(world: World, node: Node) -> list[Receipt]:
    """What the hub's receipts in the mailbox of `node` say; each is told once."""
    fetched = await node.fetch()
    trust = ReceiptTrust((world.authority.root,), Trust((), lambda _code: None))
    receipts = []
    for entry in fetched.entries:
        assert isinstance(entry, ReceiptEntry)
        signed = SignedReceipt(entry.receipt.receipt, fetched.proofs[entry.receipt.proof])
        receipts.append(verify_receipt(signed, trust, world.clock()).value)
        await node.received(entry)
    return receipts


async def expire(world: World) -> None:
    world.clock.advance(days=30)
    await world.exchange.expiry.run()


class TestRedelivery:
    """What ended without being delivered is queued anew."""

    async def test_queues_a_dead_letter_with_a_fresh_lifetime(self, world: World, g22: Node, h23: Node) -> None:
        """It is pending again, fetched, delivered, and does not expire at its old time."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        await expire(world)
        done = await redeliver(world, message_id)
        assert (done.queued, done.offered_again) == (("H23",), ())
        assert await tally(world) == Tally(1, 0, 0, 0, 0, 1)
        await world.exchange.expiry.run()
        (entry,) = await h23.envelopes()
        assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED
        assert await tally(world) == Tally(1, 1, 0, 0, 0, 0)

    async def test_can_end_once_more_and_the_sender_is_told_again(self, world: World, g22: Node, h23: Node) -> None:
        """The same event of a second round has a receipt of its own."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        await expire(world)
        await redeliver(world, message_id)
        await expire(world)
        first, second = await told(world, g22)
        assert first.event is second.event is ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE
        assert second.occurred_at - first.occurred_at == timedelta(days=30)
        assert await tally(world) == Tally(1, 0, 0, 1, 0, 0)

    async def test_of_a_refusal_lets_the_node_judge_again(self, world: World, g22: Node, h23: Node) -> None:
        """A refusal of the first round that is told once more does not end the second one."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22", OutcomeKind.REFUSED)
        await redeliver(world, message_id, H23)
        assert (await h23.report(entry, "G22", OutcomeKind.REFUSED)).result is OutcomeResult.STALE
        (again,) = await h23.envelopes()
        assert again.entry == entry.entry
        assert (await h23.report(again, "G22")).result is OutcomeResult.RECORDED
        assert await tally(world) == Tally(1, 1, 0, 0, 0, 0)

    async def test_is_not_ended_by_an_expiry_that_was_seen_before(self, world: World, g22: Node, h23: Node) -> None:
        """An expiry that read the round before, while a refusal and the redelivery came, ends nothing of it."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        (entry,) = await h23.envelopes()
        known = await world.database.read(partial(messages.known, message_ids=[message_id]))
        doomed = Doomed(entry.entry, known[message_id], "H23", round=0)
        await h23.report(entry, "G22", OutcomeKind.REFUSED)
        await redeliver(world, message_id, H23)
        assert await world.exchange.expiry._endings.end([doomed], _EXPIRED) == []
        assert await tally(world) == Tally(1, 0, 0, 0, 0, 1)
        assert [again.recipients for again in await h23.envelopes()] == [("H23",)]

    async def test_takes_only_what_ended(self, world: World, g22: Node, h23: Node, h31: Node) -> None:
        """Of several recipients those are offered it whose deliveries ended; the others see nothing."""
        message_id = (await g22.send(document("G22", "H23", "H23.12", "H31"))).message_id
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22", codes=("H23.12",))
        await h23.report(entry, "G22", OutcomeKind.REFUSED, codes=("H23",))
        assert (await redeliver(world, message_id)).queued == ("H23",)
        (again,) = await h23.envelopes()
        assert again.recipients == ("H23",)
        assert await tally(world) == Tally(3, 1, 0, 0, 0, 2)

    async def test_joins_an_entry_that_is_still_open(self, world: World, g22: Node, h23: Node) -> None:
        """A code that ended comes back beside those that the entry still waits for."""
        message_id = (await g22.send(document("G22", "H23", "H23.12"))).message_id
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22", OutcomeKind.REFUSED, codes=("H23",))
        await redeliver(world, message_id, H23)
        world.clock.advance(seconds=60)
        (again,) = await h23.envelopes()
        assert again.recipients == ("H23", "H23.12")
        assert (await h23.report(again, "G22")).result is OutcomeResult.RECORDED
        assert await tally(world) == Tally(2, 2, 0, 0, 0, 0)

    async def test_again_offers_a_delivered_one_and_leaves_the_balance(
        self, world: World, g22: Node, h23: Node
    ) -> None:
        """A node that lost what it had gets it once more; its repeated receipt ends the offer and tells nobody."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22")
        before = await tally(world)
        assert (await redeliver(world, message_id, again=True)).offered_again == ("H23",)
        assert await tally(world) == before
        (again,) = await h23.envelopes()
        assert (await h23.report(again, "G22")).result is OutcomeResult.REPEATED
        world.clock.advance(days=1)
        assert await h23.envelopes() == []
        assert len(await g22.receipts()) == 1

    async def test_of_what_is_not_dead_is_refused_with_the_way(self, world: World, g22: Node, h23: Node) -> None:
        """A queued and a delivered one are said to be so; who is no recipient, and what is no message, as well."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        assert "queued" in (await rejection(redeliver(world, message_id))).message
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22")
        error = await rejection(redeliver(world, message_id))
        assert error.code == "nothing-to-redeliver"
        assert "--again" in (error.mend or "")
        assert (await rejection(redeliver(world, message_id, AgencyCode("H99")))).code == "recipient-foreign"
        assert (await rejection(redeliver(world, "0" * 64))).code == "message-unknown"

    async def test_needs_the_payload_and_a_recipient(self, world: World, g22: Node, h23: Node) -> None:
        """A message whose bytes were dropped, and an agency that is retired, are named."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        await expire(world)
        await world.set_status("H23", EntryStatus.RETIRED)
        assert (await rejection(redeliver(world, message_id))).code == "recipient-retired"
        world.clock.advance(days=60)
        while await world.exchange.retention.step():
            pass
        assert (await rejection(redeliver(world, message_id))).code == "payload-purged"
        assert await tally(world) == Tally(1, 0, 0, 1, 0, 0)

    async def test_of_what_is_dropped_in_the_same_moment_is_refused(
        self, world: World, g22: Node, h23: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the order and the offer the retention rule drops the payload: nothing is offered without bytes."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        await expire(world)
        world.clock.advance(days=60)
        order = Redelivery._order

        def order_and_drop(self, transaction, *arguments, **found):
            ordered = order(self, transaction, *arguments, **found)
            due = retention.due(transaction, before=world.clock(), most=1)
            retention.drop_payloads(transaction, [each.message for each in due], at=world.clock())
            return ordered

        monkeypatch.setattr(Redelivery, "_order", order_and_drop)
        assert (await rejection(redeliver(world, message_id))).code == "payload-purged"
        assert await tally(world) == Tally(1, 0, 0, 1, 0, 0)
        assert await h23.envelopes() == []

    async def test_is_audited(self, world: World, g22: Node, h23: Node) -> None:
        """Who did it, why, and to whom stands in the audit log under the message's id."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        await expire(world)
        await redeliver(world, message_id[:12])
        (note,) = await world.database.read(lambda transaction: audit_log.latest(transaction, message_id, limit=10))
        assert (note.actor, note.action, note.at) == ("lan", "delivery.redelivered", world.clock())
        assert (note.detail["queued"], note.detail["reason"]) == (["H23"], "the node was mended")


class TestCancellation:
    """What nobody has yet is taken back."""

    async def test_ends_what_is_queued_and_tells_the_sender_why(self, world: World, g22: Node, h23: Node) -> None:
        """The hub's receipt bears the reason `cancelled` with the operator's words; nothing is offered any more."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        assert (await cancel(world, message_id)).recipients == ("H23",)
        assert await h23.envelopes() == []
        assert await tally(world) == Tally(1, 0, 0, 0, 1, 0)
        (receipt,) = await told(world, g22)
        assert receipt.event is ReceiptEvent.CONTENT_CONSIGNMENT_FAILURE
        assert receipt.reason is not None
        assert (receipt.reason.code, receipt.reason.text) == ("cancelled", "gửi nhầm")

    async def test_of_one_agency_leaves_the_others(self, world: World, g22: Node, h23: Node) -> None:
        """The entry stays for those that were not named."""
        message_id = (await g22.send(document("G22", "H23", "H23.12"))).message_id
        await cancel(world, message_id, H23)
        (entry,) = await h23.envelopes()
        assert entry.recipients == ("H23.12",)
        assert await tally(world) == Tally(2, 0, 0, 0, 1, 1)

    async def test_forgets_nothing_that_a_node_has_reported(self, world: World, g22: Node, h23: Node) -> None:
        """The mark of what was consigned stays with the entry, so that a node restored from a backup is offered it."""
        message_id = (await g22.send(document("G22", "H23", "H23.12"))).message_id
        (entry,) = await h23.envelopes()
        signed = h23.receipt(message_id, "G22", "H23", ReceiptEvent.CONTENT_CONSIGNMENT)
        outcome = Outcome(
            entry=entry.entry, lease=entry.lease, outcome=OutcomeKind.CONSIGNED, receipts=(ref_of(signed),)
        )
        await h23.client.report(OutcomesRequest(outcomes=(outcome,), proofs=proofs_of([signed]), mark=5))
        await cancel(world, message_id)
        assert await world.count("mailbox_entries WHERE receipt IS NULL AND mark = 5 AND NOT open") == 1

    async def test_is_superseded_by_a_consignment(self, world: World, g22: Node, h23: Node) -> None:
        """A node that held the lease and has the document durably is right: that counts, and the sender is told."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        (entry,) = await h23.envelopes()
        await cancel(world, message_id)
        assert (await h23.report(entry, "G22")).result is OutcomeResult.RECORDED
        assert await tally(world) == Tally(1, 1, 0, 0, 0, 0)
        assert len(await g22.receipts()) == 2

    async def test_of_what_nobody_can_take_back_is_refused(self, world: World, g22: Node, h23: Node) -> None:
        """What is delivered stays delivered; a reason must be given."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        assert (await rejection(cancel(world, message_id, reason=" "))).code == "reason-malformed"
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22")
        assert (await rejection(cancel(world, message_id))).code == "nothing-to-cancel"
        assert await tally(world) == Tally(1, 1, 0, 0, 0, 0)

    async def test_and_redelivery_follow_one_another(self, world: World, g22: Node, h23: Node) -> None:
        """Cancelled, queued anew, cancelled, queued anew, delivered: each end is told, and the count is of one."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        for _ in range(2):
            await cancel(world, message_id)
            await redeliver(world, message_id)
        (entry,) = await h23.envelopes()
        await h23.report(entry, "G22")
        assert await tally(world) == Tally(1, 1, 0, 0, 0, 0)
        assert len(await g22.receipts()) == 3


class TestCancellationDuringAFanout:
    """Deliveries that the fan-out has not written yet are cancelled like others."""

    @pytest.fixture
    def settings(self) -> ExchangeSettings:
        return ExchangeSettings.model_validate({"submissions": {"spare_bytes": 0}, "deliveries": {"batch": 1}})

    async def test_reaches_every_recipient(self, world: World, g22: Node, h23: Node, h31: Node) -> None:
        """All of a circular ends although one delivery of it was written, and nothing is fanned out later."""
        message_id = (await g22.send(document("G22", "H23", "H23.12", "H23.13", "H31"))).message_id
        assert set((await cancel(world, message_id)).recipients) == {"H23", "H23.12", "H23.13", "H31"}
        assert not await world.exchange.fanout.step()
        assert await tally(world) == Tally(4, 0, 0, 0, 4, 0)
        assert await h23.envelopes() == await h31.envelopes() == []

    async def test_of_one_agency_leaves_its_neighbours(self, world: World, g22: Node, h23: Node) -> None:
        """The others of the same connection are handed out, the cancelled one is not among them."""
        message_id = (await g22.send(document("G22", "H23", "H23.12", "H23.13"))).message_id
        await cancel(world, message_id, AgencyCode("H23.13"))
        (entry,) = await h23.envelopes()
        assert entry.recipients == ("H23", "H23.12")


class TestListing:
    """Deliveries are found by state, agency and age."""

    async def test_tells_what_is_not_delivered_and_why(self, world: World, g22: Node, h23: Node, h31: Node) -> None:
        """Queued, leased and dead ones are shown, longest first; delivered ones only when asked for."""
        first = (await g22.send(document("G22", "H23"))).message_id
        world.clock.advance(seconds=1)
        await g22.send(document("G22", "H31"))
        (entry,) = await h23.envelopes()
        assert await states(world) == [("H23", "leased"), ("H31", "queued")]
        await h23.report(entry, "G22", OutcomeKind.REFUSED)
        world.clock.advance(seconds=1)
        await h31.report((await h31.envelopes())[0], "G22")
        assert await states(world) == [("H23", "refused")]
        assert await states(world, AskedState.DELIVERED) == [("H31", "delivered")]
        found = await search_deliveries(world.database, Search(state=AskedState.DEAD), world.clock)
        (dead,) = found.deliveries
        assert (dead.message_id, dead.last_error) == (first, "seal-digest: Nội dung đã bị thay đổi")

    async def test_by_state_agency_and_age(self, world: World, g22: Node, h23: Node, h31: Node) -> None:
        """Each filter holds alone and with the others; an older code names its agency."""
        await g22.send(document("G22", "H23", "H31"))
        world.clock.advance(hours=2)
        await h31.send(document("H31", "H23"))
        assert await states(world, recipient=AgencyCode("000.00.00.H23")) == [("H23", "queued")] * 2
        assert await states(world, sender=AgencyCode("H31")) == [("H23", "queued")]
        assert await states(world, older_than=timedelta(hours=2)) == [("H23", "queued"), ("H31", "queued")]
        assert await states(world, recipient=H23, older_than=timedelta(hours=1)) == [("H23", "queued")]
        assert await states(world, AskedState.LEASED) == []
        assert await states(world, AskedState.DEAD) == []

    async def test_says_when_there_is_more(self, world: World, g22: Node, h23: Node) -> None:
        """A limit cuts the list and is said."""
        for _ in range(3):
            await g22.send(document("G22", "H23"))
        found = await search_deliveries(world.database, Search(limit=2), world.clock)
        assert (len(found.deliveries), found.has_more) == (2, True)
        assert not (await search_deliveries(world.database, Search(limit=3), world.clock)).has_more

    @ON_SQLITE
    async def test_reads_no_table_as_a_whole(self, world: World, g22: Node, h23: Node) -> None:
        """Every way to look, to queue anew, to cancel and to expire is answered by an index."""
        message_id = (await g22.send(document("G22", "H23"))).message_id
        with noted() as statements:
            for state in (None, *AskedState):
                for asked in ({}, {"recipient": H23}, {"sender": H23}, {"older_than": timedelta(hours=1)}):
                    await states(world, state, **asked)
            await cancel(world, message_id)
            await redeliver(world, message_id)
            with pytest.raises(Rejected):
                await redeliver(world, "G22,2026/11/20,0/VPCP")
            await expire(world)
        scans = await world.database.read(lambda transaction: list(whole_tables(transaction, statements)))
        assert scans == []


#: What waits for the fan-out is little, and an empty IN is a constant set.
_SMALL = {"CONSTANT", "fanout_batches"}
_SCAN = re.compile(r"^SCAN (\w+)\b(?! USING)")


@contextmanager
def noted() -> Iterator[dict[str, Any]]:
    """Every statement that any engine runs inside, with the parameters of its last run."""
    statements: dict[str, Any] = {}

    def note(_connection: Connection, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
        statements[statement] = parameters[0] if isinstance(parameters, list) else parameters

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def whole_tables(transaction: Connection, statements: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The tables that statements read as a whole, by SQLite's plan."""
    for statement, parameters in statements.items():
        if not statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            continue
        for row in transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
            found = _SCAN.match(row.detail)
            if found and found[1] not in _SMALL:
                yield found[1], statement
