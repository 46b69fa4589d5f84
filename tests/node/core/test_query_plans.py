"""Every statement of the way is answered by an index: the record may grow, the way does not slow down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from adapters.sdk import Accepted, Delivery, Later, Never, Outcome, Refused
from node.settings_exchange import RetentionSettings
from node.store.states import HandoverState, OutboxState
from node.usecases.amendments import Change
from node.usecases.deadlines import Deadlines
from node.usecases.leavings import Leavings
from node.usecases.retention import Retention
from schemas.errors import Unavailable
from schemas.message import StatusCode
from schemas.receipts import ReceiptEvent
from schemas.times import DateText
from tests.node.core.asking import arrives, becomes, handed
from tests.node.core.hub_simulator import HubSimulator
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.test_receipts import receipt_of
from tests.node.core.world import G22, H23, H31, World, document, envelope, recall, status
from tests.services.columns import ON_SQLITE

#: What may be read as a whole: tables of what waits or of few things; and the empty set that SQLite makes of IN ().
_SMALL = {
    "transfers",
    "CONSTANT",
    "hub_contact",
    "hub_standing",
    "resubmissions",
    "attachment_recoveries",
    "directory_anchors",
    "directory_versions",
    "reports",
    "handover_predecessors",
}
_SCAN = re.compile(r"^SCAN (\w+)( USING)?")


@contextmanager
def noted() -> Iterator[dict[str, Any]]:
    """Every statement that any engine runs inside, with parameters of its last run."""
    statements: dict[str, Any] = {}

    def note(_connection: Connection, _cursor: object, statement: str, parameters: Any, *_more: object) -> None:
        statements[statement] = parameters

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@ON_SQLITE
async def test_no_statement_of_the_way_scans_a_table(
    node: Node, hub: HubSimulator, world: World, tmp_path: Path
) -> None:
    """Sending, receiving, handing over, receipts, statuses, retention: no table that grows is read as a whole."""
    # The document with attachments is refused at the second try, one of the others parked: whichever comes first.
    with_files: Iterator[Outcome] = iter([Later("x"), Refused("x")])
    without: Iterator[Outcome] = iter([Never("x")])

    async def answer(delivery: Delivery) -> Outcome:
        return next(with_files if delivery.attachments else without, Accepted())

    node.adapter.answer = answer
    path = tmp_path / "lớn.bin"
    path.write_bytes(bytes(100_000))
    with noted() as statements:
        await the_whole_way(node, hub, world, path)
        await everything_is_dropped(node)
    plans = await node.database.read(lambda connection: plans_of(connection, statements))
    assert len(plans) > 60
    scanned = [f"{table}: {statement}" for statement, steps in plans.items() for table in scans(statement, steps)]
    assert scanned == []


def plans_of(connection: Connection, statements: dict[str, Any]) -> dict[str, list[str]]:
    explained = {}
    for statement, parameters in statements.items():
        if statement.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            first = parameters[0] if isinstance(parameters, list) else parameters
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", first).all()
            explained[statement] = [row.detail for row in rows]
    return explained


def scans(statement: str, steps: list[str]) -> set[str]:
    found = [match for step in steps if (match := _SCAN.match(step))]
    # An index that is read in order ends at the limit; without one it is read whole, as the table would be.
    return {match[1] for match in found if not (match[2] and "LIMIT" in statement)} - _SMALL


async def the_whole_way(node: Node, hub: HubSimulator, world: World, path: Path) -> None:
    """Everything that the daemon does, once."""
    original = replace(document(G22, H23), due_date=DateText("2026/11/21"))
    theirs = world.sealed(envelope(original, b"short", bytes(100_000)))
    refused = world.sealed(envelope(original, submission_id="refused"))
    hub.faults.refuse = lambda _id: Unavailable("revocation-unknown", "Down.")
    hub.deliver(theirs.data, [H23], [b"short", bytes(100_000)], inline=False)
    async with node.running():
        mine = document()
        ours = await node.submit(mine, path)
        recalled = await node.submit(recall(mine), key="2")
        await arrives(node, theirs.message_id)
        hub.deliver(theirs.data, [H23])
        hub.deliver(refused.data, [H23])
        takes_back = world.sealed(envelope(recall(original), about=[theirs.message_id]))
        hub.deliver(takes_back.data, [H23])
        hub.faults.refuse = lambda _id: None
        await becomes(node, ours, OutboxState.ACCEPTED)
        await becomes(node, recalled, OutboxState.ACCEPTED)
        hub.deliver_receipt(receipt_of(world, ReceiptEvent.CONTENT_CONSIGNMENT, ours))
        answer = world.sealed(envelope(status(G22, mine), about=[ours]))
        hub.deliver(answer.data, [H23])
        await handed(node, answer.message_id, HandoverState.HANDED_OVER)
        await node.responder.respond(refused.message_id, StatusCode.ACCEPTED)
        await node.responder.respond(takes_back.message_id, StatusCode.REQUEST_AGREED)
        await node.amendments.update(ours, Change(reason="Sửa", metadata={"subject": "Mới"}), add=[H31])
        await node.amendments.recall(ours, Change(reason="Nhầm"))
        await node.queries.outbox()
        await node.queries.due()
        await Deadlines(node.database, near=timedelta(days=2), clock=node.clock).tell()
        await node.queries.story(ours[:12])
        await eventually(lambda: not hub.mailbox)


async def everything_is_dropped(node: Node) -> None:
    """Retention, years after all of it ended."""
    node.clock.ahead = timedelta(days=1000)
    settings = RetentionSettings(sent_days=1, received_days=1)
    leavings = Leavings(node.database, node.blobs, node.clock)
    retention = Retention(node.database, leavings, clock=node.clock, settings=settings, window=timedelta(days=1))
    while await retention.step():
        pass
