"""The way back of a circular: a status and two receipts of every recipient, into one mailbox, and express past them.

A hub's exchange in this process, without its listeners. The circular's recipients are on 95 connections; each consigns
it, hands it over and answers with status 01. All of that is signed before the clock runs, and judged as it is for any
node. Then the sender's mailbox holds it, and express documents go there and to an empty mailbox by turns: accepted, and
handed out to the poll that a node keeps for them while it has a backlog.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import ClassVar, Final

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from benchmarks.documents import letter
from benchmarks.hub_in_process import SERVES, Hub, World, opened
from benchmarks.measurement import Run
from benchmarks.measures.broadcast import enter
from benchmarks.rows import Pair, Result, Row, percentile
from certs.receipts import sign_receipts
from certs.sealing import Sealed, seal
from hub.store import connections
from hub.store.mailbox_contents import WaitingEnvelope
from schemas.codes import AgencyCode
from schemas.envelope import Envelope, Extension, Selector, SelectorKind
from schemas.errors import Unavailable
from schemas.message import Organ, Priority, ResponseFor, StatusCode, StatusMessage, TraceHeader
from schemas.receipts import Issuer, IssuerKind, Receipt, ReceiptEvent
from schemas.times import TimestampText
from transport.batches import BroughtSubmission
from transport.wire import Outcome, OutcomeKind, OutcomeResult, OutcomesRequest, ReceiptRef

TAKEN = Row(
    "way-back",
    "way back of a circular to 20,000: the hub's processor time for a recipient's status and two receipts",
    "ms",
    "a document that the same hub accepts",
)
PAST = Row(
    "way-back-express",
    "express past 20,000 statuses and 40,000 receipts in its mailbox: accepted and handed out, p99",
    "ms",
    "the same where the mailbox is empty",
)

_CONNECTIONS: Final = 95
_PREFIX: Final = "K73"
_TOGETHER: Final = 32
_DOCUMENT_ID: Final = "G22,2026/11/21,1/BENCH"

_numbers = count(1)


class WayBack:
    rows: ClassVar[tuple[Row, ...]] = (TAKEN, PAST)

    async def measure(self, run: Run) -> Sequence[Result]:
        recipients, documents = run.of(quick=500, full=20_000), run.of(quick=20, full=100)
        folder = run.folder / "way-back"
        folder.mkdir()
        world = World.make(folder, datetime.now(UTC))
        taken, past = [], []
        async with opened(folder, world) as hub:
            await hub.database.write(lambda transaction: _join(transaction, world, recipients))
            references = [
                await hub.accept(world.documents(repeat * documents, documents)) for repeat in range(run.repeats)
            ]
            await hub.deliver_all()
            circular = await _send_circular(hub, world)
            for repeat, reference in enumerate(references):
                run.tell(f"way back of a circular to {recipients:,}: {repeat + 1} of {run.repeats}")
                answers = [await _answer(hub, world, circular, at) for at in range(repeat, _CONNECTIONS, run.repeats)]
                begun = time.process_time()
                for answer in answers:
                    await answer.come_back(hub)
                seconds = time.process_time() - begun
                taken.append(Pair(seconds / sum(answer.recipients for answer in answers) * 1000, reference.cpu))
            if (waiting := await hub.database.read(_waiting_for_sender)) != 3 * recipients:
                raise Unavailable("benchmark-wrong", f"{waiting} statuses and receipts wait, not {3 * recipients}.")
            for repeat in range(run.repeats):
                run.tell(f"express past what came back: {repeat + 1} of {run.repeats}")
                idle, beside = [], []
                for _ in range(documents):
                    idle.append(await _express(hub, world, "vpcp", "haiduong"))
                    beside.append(await _express(hub, world, "haiduong", "vpcp"))
                past.append(Pair(percentile(beside, 0.99) * 1000, percentile(idle, 0.99) * 1000))
        return [
            Result(TAKEN, f"{recipients:,} recipients", tuple(taken)),
            Result(PAST, f"{3 * recipients:,} before it, {documents} express documents a repeat", tuple(past)),
        ]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the agencies on one connection say of the circular, signed: receipts, then statuses."""

    connection: str
    recipients: int
    reports: tuple[OutcomesRequest, ...]
    statuses: tuple[BroughtSubmission, ...]

    async def come_back(self, hub: Hub) -> None:
        for report in self.reports:
            answer = await hub.exchange.outcomes.report(self.connection, report)
            for each in (*answer.outcomes, *answer.receipts):
                if each.result is not OutcomeResult.RECORDED:
                    raise Unavailable("benchmark-wrong", f"The hub does not take a report: {each}.")
        for start in range(0, len(self.statuses), _TOGETHER):
            taken = await hub.exchange.submissions.submit_all(self.connection, self.statuses[start : start + _TOGETHER])
            for submitted in taken:
                if isinstance(submitted, Exception):
                    raise submitted


def _connection(number: int) -> str:
    return f"{_PREFIX}-{number}".lower()


def _join(transaction: Connection, world: World, recipients: int) -> None:
    """Have the circular's recipients in the directory. One key seals for all: keys are not what is measured."""
    enter(transaction, _PREFIX, recipients, _CONNECTIONS)
    key = world.seals["haiduong"]
    certificate = key.certificate.public_bytes(Encoding.DER)
    for number in range(_CONNECTIONS):
        connections.add_seal(transaction, _connection(number), key.fingerprint, certificate, at=datetime.now(UTC))


async def _send_circular(hub: Hub, world: World) -> str:
    """Accept a document to every agency below the prefix and write its deliveries; gives the message's id."""
    sealed = _sealed(world, "vpcp", selectors=(Selector(SelectorKind.PREFIX, _PREFIX),))
    await _accept(hub, "vpcp", sealed.data)
    while await hub.exchange.fanout.step():
        pass
    return sealed.message_id


async def _accept(hub: Hub, connection: str, data: bytes) -> None:
    (taken,) = await hub.exchange.submissions.submit_all(connection, [BroughtSubmission(data, ())])
    if isinstance(taken, Exception):
        raise taken


async def _answer(hub: Hub, world: World, circular: str, number: int) -> _Answer:
    """Fetch the circular for one connection, and sign what its agencies say of it."""
    connection, key = _connection(number), world.seals["haiduong"]
    batch = await hub.exchange.mailbox.fetch(connection, wait=0, limit=1)
    [(entry, handed_out)] = batch.entries.items()
    codes = handed_out.recipients  # type: ignore[union-attr]  # nothing but the circular is there
    consigned: list[ReceiptRef] = []
    handed_over: list[ReceiptRef] = []
    proofs: dict[str, bytes] = {}
    for code in codes:
        for event, refs in (
            (ReceiptEvent.CONTENT_CONSIGNMENT, consigned),
            (ReceiptEvent.CONTENT_HANDOVER, handed_over),
        ):
            receipt = Receipt(
                receipt_id=secrets.token_hex(16),
                event=event,
                issuer=Issuer(IssuerKind.AGENCY, code),
                message_id=circular,
                sender=AgencyCode(SERVES["vpcp"]),
                recipient=AgencyCode(code),
                occurred_at=datetime.now(UTC),
            )
            [signed] = sign_receipts([receipt], key, issued_at=datetime.now(UTC))
            proofs[receipt.receipt_id] = signed.proof
            refs.append(ReceiptRef(receipt=signed.receipt, proof=receipt.receipt_id))
    outcome = Outcome(entry=entry, lease=batch.lease, outcome=OutcomeKind.CONSIGNED, receipts=tuple(consigned))
    return _Answer(
        connection,
        len(codes),
        (
            OutcomesRequest(outcomes=(outcome,), proofs={ref.proof: proofs[ref.proof] for ref in consigned}),
            OutcomesRequest(receipts=tuple(handed_over), proofs={ref.proof: proofs[ref.proof] for ref in handed_over}),
        ),
        tuple(BroughtSubmission(_status(world, code, circular), ()) for code in codes),
    )


def _status(world: World, code: str, about: str) -> bytes:
    now = datetime.now(UTC)
    message = StatusMessage(
        sender=Organ(organ_id=AgencyCode(code)),
        response_for=ResponseFor(document_id=_DOCUMENT_ID),
        status_code=StatusCode.ARRIVED,
        description="Đã đến",
        timestamp=TimestampText.of(now),
    )
    extension = Extension(submission_id=f"bench-status-{code}", about=(about,))
    return seal(Envelope(message, extension), world.seals["haiduong"], now).data


def _sealed(
    world: World,
    connection: str,
    to: Sequence[str] = (),
    *,
    selectors: tuple[Selector, ...] = (),
    priority: Priority = Priority.NORMAL,
) -> Sealed:
    """A document of the agency that `connection` serves."""
    now = datetime.now(UTC)
    sender = AgencyCode(SERVES[connection])
    document = replace(
        letter(next(_numbers), to, priority),
        sender=Organ(organ_id=sender, organ_name=sender.value),
        document_id=_DOCUMENT_ID,
        trace=(TraceHeader(organ_id=sender, timestamp=TimestampText.of(now)),),
    )
    extension = Extension(submission_id=f"bench-{connection}-{secrets.token_hex(8)}", selectors=selectors)
    return seal(Envelope(document, extension), world.seals[connection], now)


async def _express(hub: Hub, world: World, sender: str, recipient: str) -> float:
    """Seconds in which an express document is accepted from one connection and handed out to the other, the first."""
    sealed = _sealed(world, sender, (SERVES[recipient],), priority=Priority.EXPRESS)
    begun = time.perf_counter()
    await _accept(hub, sender, sealed.data)
    batch = await hub.exchange.mailbox.fetch(recipient, wait=0, limit=_TOGETHER, express=True)
    seconds = time.perf_counter() - begun
    if [each.message_id for each in batch.entries.values() if isinstance(each, WaitingEnvelope)] != [sealed.message_id]:
        raise Unavailable("benchmark-wrong", "The express document was not handed out first.")
    await hub.database.write(_close_express)
    return seconds


def _close_express(transaction: Connection) -> None:
    transaction.exec_driver_sql("UPDATE mailbox_entries SET open = 0, lease = NULL WHERE lane = 0 AND open = 1")


def _waiting_for_sender(transaction: Connection) -> int:
    question = "SELECT count(*) FROM mailbox_entries WHERE connection = 'vpcp' AND open = 1"
    waiting: int = transaction.exec_driver_sql(question).scalar_one()
    return waiting
