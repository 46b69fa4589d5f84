"""Hub and nodes as a state machine: whatever happens in whatever order, nothing is lost and nothing comes twice.

Hypothesis plays the network, the operator, the software and the clock against a real hub and three real nodes, which
speak over HTTP on loopback. With `CONGVAN_MACHINE_EXAMPLES=200 CONGVAN_MACHINE_STEPS=60` in the environment it plays
longer, and other plays each time; without them a few short ones, always the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Awaitable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final, TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.sdk import Accepted, Delivery, Later, Never, Outcome, Refused
from congvan.audit.opening import opened as opened_sources
from congvan.audit.report import audit
from hub.usecases.balance import balance_of
from node.store.states import HandoverState
from schemas.errors import Rejected
from schemas.message import BusinessType, Document, Priority, StatusCode
from tests.together.documents import document, recall, status
from tests.together.ground import NODES, Ground
from tests.together.hub_side import Fault
from tests.together.site import NODE_OF, Clock, Site

T = TypeVar("T")

_EXAMPLES: Final = os.environ.get("CONGVAN_MACHINE_EXAMPLES")
_STEPS: Final = int(os.environ.get("CONGVAN_MACHINE_STEPS", "20"))

#: From which state to which a delivery may go at the hub between two looks; `None` is before there was one.
_ARROWS: Final = {
    None: {"queued", "delivered", "refused", "expired"},
    "queued": {"delivered", "refused", "expired", "cancelled"},
    "delivered": set[str](),
    "refused": {"queued", "delivered"},
    "expired": {"queued", "delivered"},
    "cancelled": {"queued", "delivered"},
}

_AN_HOUR: Final = 3600.0
_A_MONTH: Final = 31 * 24 * _AN_HOUR

#: Certificates are good for longer than a play lasts.
_LONG: Final = timedelta(days=200)

_nodes = st.sampled_from(sorted(NODES))
_faults = st.sampled_from([Fault.NONE, Fault.NONE, Fault.NONE, Fault.LOSE_REQUESTS, Fault.DROP_ANSWERS])


class ExchangeMachine(RuleBasedStateMachine):
    """One play. `ground` is set by the test."""

    ground: Ground

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="congvan-machine-"))
        self.runner = asyncio.Runner()
        self.site = Site(self.ground.copy(self.folder / "site"), Clock(self.ground.made_at), Random(1))
        self.sent: list[tuple[str, Document, str]] = []
        self.received: dict[str, list[tuple[str, Document]]] = {}
        self.states: dict[tuple[int, str], str] = {}
        self.taken: list[tuple[str, str]] = []
        self.recalled: dict[str, str] = {}
        #: What was put aside for a person, and what came with the mark that its cause had not: neither keeps an order.
        self.parked: set[tuple[str, str]] = set()
        self.marked: set[tuple[str, str]] = set()
        self.outcome: Outcome = Accepted()
        self.numbers = iter(range(1, 10_000))
        self.short = self._file("short.pdf", b"%PDF-1.7 short")
        self.long = self._file("long.pdf", b"%PDF-1.7 long" * 8000)

    def _file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.runner.run(awaited())

    @initialize()
    def begin(self) -> None:
        for software in self.site.software.values():
            software.answer = self._answer
        self.run(self.site.open())

    async def _answer(self, delivery: Delivery) -> Outcome:
        key = delivery.key.message_id, delivery.key.recipient.value
        if isinstance(self.outcome, Never):
            self.parked.add(key)
        if isinstance(self.outcome, Accepted):
            assert key not in self.taken, "the software was handed what it has"
            self.taken.append(key)
            if delivery.missing:
                self.marked.add(key)
            if isinstance(delivery.message, Document) and delivery.message.business_type is BusinessType.NEW:
                self.received.setdefault(key[1], []).append((key[0], delivery.message))
        return self.outcome

    # What people do

    @rule(
        sender=st.sampled_from(sorted(NODE_OF)),
        recipients=st.sets(st.sampled_from(sorted(NODE_OF)), min_size=1),
        priority=st.sampled_from([Priority.NORMAL, Priority.EXPRESS]),
        attachments=st.sampled_from(["", "short", "long", "both"]),
    )
    def submit(self, sender: str, recipients: set[str], priority: Priority, attachments: str) -> None:
        number = next(self.numbers)
        others = recipients - {sender} or {"H31" if sender == "G22" else "G22"}
        paper = document(sender, *sorted(others), number=number, priority=priority)
        files = {"": [], "short": [self.short], "long": [self.long], "both": [self.short, self.long]}[attachments]
        message_id = self.run(self.site.node(NODE_OF[sender]).submit(paper, *files, key=str(number)))
        self.sent.append((message_id, paper, sender))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def recall(self, data: st.DataObject) -> None:
        message_id, paper, sender = data.draw(st.sampled_from(self.sent))
        number = next(self.numbers)
        try:
            recalling = self.run(
                self.site.node(NODE_OF[sender]).submit(recall(paper, number), key=str(number), about=(message_id,))
            )
        except Rejected:
            return
        self.recalled[recalling] = message_id

    @precondition(lambda self: self.received)
    @rule(data=st.data(), code=st.sampled_from([StatusCode.ACCEPTED, StatusCode.PROCESSING, StatusCode.FINISHED]))
    def respond(self, data: st.DataObject, code: StatusCode) -> None:
        receiver = data.draw(st.sampled_from(sorted(self.received)))
        message_id, paper = data.draw(st.sampled_from(self.received[receiver]))
        number = str(next(self.numbers))
        try:
            self.run(
                self.site.node(NODE_OF[receiver]).submit(status(receiver, paper, code), key=number, about=(message_id,))
            )
        except Rejected:
            return

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        message_id, _, _ = data.draw(st.sampled_from(self.sent))
        order = self.site.hub.foundation.redelivery.redeliver(message_id, None, again=False, reason=None, actor="test")
        try:
            self.run(order)
        except Rejected:
            return

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        message_id, _, _ = data.draw(st.sampled_from(self.sent))
        try:
            self.run(self.site.hub.foundation.cancellation.cancel(message_id, None, reason="Gửi nhầm", actor="test"))
        except Rejected:
            return

    # What the programs do

    @rule(name=_nodes, fault=_faults)
    def send(self, name: str, fault: Fault) -> None:
        self.run(self._under(name, fault, self.site.node(name).send()))

    @rule(name=_nodes, fault=_faults)
    def fetch(self, name: str, fault: Fault) -> None:
        self.run(self._under(name, fault, self.site.node(name).fetch()))

    @rule(name=_nodes, fault=_faults)
    def report(self, name: str, fault: Fault) -> None:
        self.run(self._under(name, fault, self.site.node(name).report()))

    @rule(
        name=_nodes,
        outcome=st.sampled_from(
            [Accepted(), Accepted(), Refused("Không thuộc thẩm quyền"), Later("Bận"), Never("Không đọc được")]
        ),
    )
    def hand_over(self, name: str, outcome: Outcome) -> None:
        self.outcome = outcome
        self.run(self.site.node(name).hand_over())

    @rule()
    def sweep(self) -> None:
        self.run(self.site.hub.sweep())

    @rule(seconds=st.sampled_from([1.0, 90.0, 900.0, _AN_HOUR, 24 * _AN_HOUR]))
    def wait(self, seconds: float) -> None:
        self.site.clock.advance(seconds)

    @precondition(lambda self: self.site.clock.now - self.ground.made_at < _LONG)
    @rule()
    def wait_a_month(self) -> None:
        self.site.clock.advance(_A_MONTH)

    @rule(name=st.sampled_from(["hub", *sorted(NODES)]))
    def restart(self, name: str) -> None:
        self.run(self.site.restart(name))

    async def _under(self, name: str, fault: Fault, work: Awaitable[object]) -> None:
        self.site.network.faults[name] = fault
        try:
            await work
        finally:
            self.site.network.faults[name] = Fault.NONE

    # What always holds

    @invariant()
    def balances(self) -> None:
        if self.site.is_open:
            assert self.run(balance_of(self.site.hub.foundation.database)).balances

    @invariant()
    def states_move_along_their_arrows(self) -> None:
        if not self.site.is_open:
            return
        rows = self.run(
            self.site.hub.foundation.database.read(
                lambda transaction: transaction.exec_driver_sql(
                    "SELECT message, recipient, state FROM deliveries"
                ).all()
            )
        )
        for number, recipient, state in rows:
            before = self.states.get((number, recipient))
            assert state == before or state in _ARROWS[before], f"{before} → {state}"
            self.states[number, recipient] = state

    def teardown(self) -> None:
        try:
            if self.site.is_open:
                self.run(self._end())
        finally:
            self.run(self.site.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    async def _end(self) -> None:
        """Let everything run dry, with software that takes all; then all is accounted for."""
        self.outcome = Accepted()
        for _ in range(3):
            await self.site.run_dry()
            self.site.clock.advance(2 * _AN_HOUR)
        await self._drive_parked_again()
        await self.site.run_dry()
        assert len(self.taken) == len(set(self.taken))
        for recalling, about in self.recalled.items():
            for code in {code for message_id, code in self.taken if message_id == recalling}:
                first, then = (about, code), (recalling, code)
                if first in self.taken and first not in self.parked and then not in self.marked:
                    assert self.taken.index(first) < self.taken.index(then)
        async with opened_sources([str(self.site.folder / name) for name in ("hub", *NODES)]) as sources:
            found = await audit(sources, deep=True)
        sides = {name: [finding.sentence for finding in side.findings] for name, side in found.sides.items()}
        assert not any(sides.values()), sides
        assert [finding.sentence for finding in found.findings] == []
        assert found.on_its_way == ()
        assert found.hub is not None
        assert found.hub[1].balance.overall.pending == 0
        assert found.is_clean

    async def _drive_parked_again(self) -> None:
        """What the software could not take is on its way until a person drives it again."""
        for name in NODES:
            foundation = self.site.node(name).foundation
            for row in await foundation.queries.inbox(limit=10_000):
                if any(one.state is HandoverState.PARKED for one in row.handovers):
                    await foundation.parked.drive_again(row.message.message_id)


# A long play was asked for, and ends when it ends.
@pytest.mark.timeout(0 if _EXAMPLES else 120)
def test_nothing_is_lost_and_nothing_comes_twice(ground: Ground, quiet: None) -> None:
    """After any play, run dry, each acknowledged message is handed over or ended, once, with every receipt in place."""
    ExchangeMachine.ground = ground
    play = settings(
        max_examples=int(_EXAMPLES or 6),
        stateful_step_count=_STEPS,
        deadline=None,
        derandomize=_EXAMPLES is None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(ExchangeMachine, settings=play)


@pytest.fixture
def quiet() -> Iterator[None]:
    """No log: a play says what it did in rules."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
