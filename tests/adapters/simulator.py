"""A node for adapters to run against: it keeps `adapters.sdk.NodeApi` as the real one does, on files of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from adapters.sdk import AdapterContext, Delivery, DeliveryKey, IncomingAttachment, Submission, Submitted
from runtime.files import write_file
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import CONTENT_ID_PREFIX, Sha256Hex
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.message import Document, Message, Reference

NOW = datetime(2026, 11, 20, 1, 30, tzinfo=UTC)

NAMES = {
    "G22": "Văn phòng Chính phủ",
    "H23": "UBND tỉnh Hải Dương",
    "H31": "UBND tỉnh Hưng Yên",
}


def code(text: str) -> AgencyCode:
    return AgencyCode.parse(text)


@dataclass
class NodeSimulator:
    """A node that serves `serves`. What it takes survives in `folder`, as a node's outbox does.

    `trouble`, if set, is asked before a submission is taken and gives the error to raise, if any.
    """

    folder: Path
    serves: Sequence[str] = ("G22",)
    trouble: Callable[[Submission], CongvanError | None] = lambda _: None
    after_commit: Callable[[], None] = lambda: None
    blobs: dict[Sha256Hex, bytes] = field(default_factory=dict)

    @property
    def served_codes(self) -> Sequence[AgencyCode]:
        return tuple(map(code, self.serves))

    async def agency(self, code: AgencyCode) -> AgencyEntry | None:
        older = {"000.00.00.H31": "H31", "000.00.00.H23": "H23"}
        today = older.get(code.value, code.value)
        if today not in NAMES:
            return None
        return AgencyEntry(
            code=AgencyCode(today),
            name=NAMES[today],
            older_codes=tuple(AgencyCode(old) for old, new in older.items() if new == today),
            connection=today,
        )

    async def submit(self, submission: Submission) -> Submitted:
        sender = submission.message.sender.organ_id
        if sender not in self.served_codes:
            raise Rejected("sender-not-served", f"This node does not serve {sender}.", element="MessageHeader/From")
        if isinstance(submission.message, Document):
            for organ in submission.message.recipients:
                if await self.agency(organ.organ_id) is None:
                    raise Rejected("recipient-unknown", f"No agency has the code {organ.organ_id}.")
        if (error := self.trouble(submission)) is not None:
            raise error
        self.folder.mkdir(exist_ok=True)
        row = self.folder / hashlib.sha256(f"{sender} {submission.key}".encode()).hexdigest()
        if row.exists():
            kept = json.loads(row.read_text())
            if kept["fingerprint"] != submission.fingerprint:
                raise Rejected("key-conflict", "The key was used for another message.")
            return Submitted(kept["message_id"], repeated=True)
        attachments = [
            {"name": one.name, "type": one.content_type, "content": one.path.read_bytes().hex()}
            for one in submission.attachments
        ]
        message_id = hashlib.sha256(repr((submission.key, submission.message)).encode()).hexdigest()
        kept = {
            "fingerprint": submission.fingerprint,
            "message_id": message_id,
            "message": repr(submission.message),
            "attachments": attachments,
        }
        write_file(row, json.dumps(kept).encode())
        self.after_commit()
        self.taken[message_id] = submission
        return Submitted(message_id, repeated=False)

    taken: dict[Sha256Hex, Submission] = field(default_factory=dict)

    def attachments_of(self, submission: Submission) -> dict[str, tuple[str, bytes]]:
        """The attachments that the node took its copy of: name → (content type, bytes)."""
        sender = submission.message.sender.organ_id
        row = self.folder / hashlib.sha256(f"{sender} {submission.key}".encode()).hexdigest()
        kept = json.loads(row.read_text())["attachments"]
        return {one["name"]: (one["type"], bytes.fromhex(one["content"])) for one in kept}

    def message_count(self) -> int:
        return len(list(self.folder.glob("[!.]*"))) if self.folder.exists() else 0

    @contextlib.asynccontextmanager
    async def open_attachment(self, digest: Sha256Hex, *, start: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        if digest not in self.blobs:
            raise Unavailable("blob-missing", f"The attachment {digest} is not on the disk.")
        content = self.blobs[digest]

        async def chunks() -> AsyncIterator[bytes]:
            for place in range(start, len(content), 1000):
                yield content[place : place + 1000]

        yield chunks()

    def context(self, folder: Path, /, **settings: object) -> AdapterContext:
        return AdapterContext(name="filedrop", settings=settings, node=self, folder=folder, clock=lambda: NOW)

    def delivery(
        self, message: Message, recipient: str = "H23", *, attachments: Sequence[tuple[str, bytes]] = ()
    ) -> Delivery:
        """A delivery of `message`, with `attachments` (name, bytes) in the place of its references."""
        incoming = []
        for name, content in attachments:
            digest = hashlib.sha256(content).hexdigest()
            self.blobs[digest] = content
            incoming.append(
                IncomingAttachment(
                    name=name, content_type="application/pdf", description=name, digest=digest, size=len(content)
                )
            )
        return Delivery(
            key=DeliveryKey(hashlib.sha256(repr(message).encode()).hexdigest(), code(recipient)),
            message=message,
            about=(),
            attachments=tuple(incoming),
            sealed=b"<edXML>sealed</edXML>",
            signer="CN=G22 seal",
            signed_at=NOW,
            accepted_at=NOW,
            received_at=NOW,
        )


def reference(name: str, content: bytes) -> Reference:
    """The manifest's line of an attachment, as it travels."""
    return Reference(
        content_id=CONTENT_ID_PREFIX + hashlib.sha256(content).hexdigest(),
        content_type="application/pdf",
        attachment_name=name,
        description=name,
    )
