"""The ways that messages go, for the tests that kill a program at each step of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from congvan.demo.site import Site
from node.foundation import Foundation, open_foundation
from node.settings import NodeFolder
from node.store.records import MessageFacts
from runtime.clock import utc_now
from schemas.classic_writer import write_classic
from schemas.codes import AgencyCode
from schemas.message import Organ, ResponseFor, StatusCode, StatusMessage
from schemas.times import TimestampText
from tests.programs import exchange


class Way(StrEnum):
    """What goes from one agency to another, with the receipts and statuses that come back for it.

    A document whose attachment goes in the submission; one whose attachment is uploaded by itself; a status of the
    recipient about a document that came before; a recall of one.
    """

    DOCUMENT = "document"
    UPLOAD = "upload"
    STATUS = "status"
    RECALL = "recall"

    @property
    def speaks_of_a_document(self) -> bool:
        return self in (Way.STATUS, Way.RECALL)


#: More than a database keeps inline, so that the blob's way (sync, rename) is walked; and more than a submission takes.
_IN_THE_SUBMISSION = b"%PDF-" + bytes(100_000)
_UPLOADED = b"%PDF-" + bytes(2_000_000)


@dataclass(frozen=True, slots=True)
class Walk:
    """A way walked at `site`, again and again: each number is one more message on it, about a document of its own.

    `record` is the sender's.
    """

    site: Site
    way: Way
    record: Foundation

    async def prepare(self, number: int) -> None:
        """Let arrive, before anything fails, what the message `number` is going to speak of."""
        if self.way.speaks_of_a_document:
            exchange.drop(self.site, number)
            recalls = number if self.way is Way.RECALL else 0
            await exchange.settled(self.site, number + 1 + recalls)

    def begin(self, number: int) -> None:
        """Drop the message `number`."""
        match self.way:
            case Way.DOCUMENT:
                exchange.drop(self.site, number, content=_IN_THE_SUBMISSION)
            case Way.UPLOAD:
                exchange.drop(self.site, number, content=_UPLOADED)
            case Way.STATUS:
                _respond(self.site, number)
            case Way.RECALL:
                exchange.drop(self.site, number, recalls=True)

    async def arrived(self) -> list[str]:
        """What has come out at the end of the way, a text for each folder: the same text twice is the same twice."""
        if self.way is Way.STATUS:
            return [name for name in await asyncio.to_thread(_statuses, self.site) if name.endswith(" 03")]
        subjects = await exchange.subjects(self.site, "H23")
        return [subject for subject in subjects if subject.startswith("Thu hồi") == (self.way is Way.RECALL)]

    async def is_complete(self, number: int) -> bool:
        """Whether the message has come out, and its sender has each receipt once, and status 01 of a document."""
        if self.named(number) not in await self.arrived():
            return False
        rows = await self.record.queries.outbox(limit=10_000)
        (sent,) = [row for row in rows if self._is_message(row.message, number)]
        story = await self.record.queries.story(sent.message.message_id)
        events = sorted(receipt.event for receipt in story.receipts)
        statuses = [one.status for one in sent.recipients]
        return events == ["ContentConsignment", "ContentHandover", "SubmissionAcceptance"] and (
            self.way is Way.STATUS or statuses == ["01"]
        )

    def _is_message(self, message: MessageFacts, number: int) -> bool:
        """Whether `message`, of the sender's record, is the message `number`."""
        if self.way is Way.STATUS:
            return message.status is StatusCode.ACCEPTED and message.document_id == exchange.document_id(number)
        return message.subject == self.named(number)

    def named(self, number: int) -> str:
        """The text of `arrived` for the message `number`."""
        match self.way:
            case Way.STATUS:
                return f"{exchange.document_id(number)} 03"
            case Way.RECALL:
                return f"Thu hồi văn bản số {number}"
            case _:
                return f"Văn bản số {number}"


@asynccontextmanager
async def open_walk(site: Site, way: Way) -> AsyncIterator[Walk]:
    """A walk, with the sender's record open beside the sender's node."""
    sender = "H23" if way is Way.STATUS else "G22"
    async with open_foundation(NodeFolder(site.node_folder(sender))) as record:
        yield Walk(site, way, record)


def _respond(site: Site, number: int) -> None:
    """Let H23's software answer the document `number` with status 03."""
    status = StatusMessage(
        sender=Organ(organ_id=AgencyCode("H23")),
        response_for=ResponseFor(organ_id=AgencyCode("G22"), document_id=exchange.document_id(number)),
        status_code=StatusCode.ACCEPTED,
        timestamp=TimestampText.of(utc_now()),
    )
    out = site.node_folder("H23") / "filedrop" / "out"
    making = out / f".answer-{number}"
    with making.open("wb") as file:
        write_classic(status, (), file.write)
    making.rename(out / f"answer-{number}.edxml")


def _statuses(site: Site) -> list[str]:
    found = []
    # A node serves before its filedrop has made its folders: a glob finds nothing where there is none.
    for received in (site.node_folder("G22") / "filedrop" / "in").glob("*"):
        form = received / "status.edxml"
        if not received.name.startswith(".") and form.exists():
            text = form.read_text(encoding="utf-8")
            found.append(f"{_within(text, 'DocumentId')} {_within(text, 'StatusCode')}")
    return sorted(found)


def _within(text: str, name: str) -> str:
    return text.split(f"{name}>")[1].split("<", maxsplit=1)[0]
