"""Deliveries in the classic form: To as its recipient must find it, and the whole message as one file."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adapters.sdk import Delivery, IncomingAttachment, NodeApi
from adapters.spool import Spool
from runtime.files import storage_errors
from schemas.classic_writer import AttachmentSource, require_carried, write_classic
from schemas.envelope import CONTENT_ID_PREFIX
from schemas.errors import Unavailable
from schemas.message import Document, Message, Organ


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """A message in the classic form, a file of a spool; `size` in bytes."""

    path: Path
    size: int


async def as_received(delivery: Delivery, node: NodeApi) -> Message:
    """The message with its recipient in To: selectors (a prefix, a group) name nobody, and To is never empty."""
    message, recipient = delivery.message, delivery.key.recipient
    if not isinstance(message, Document):
        return message
    entry = await node.agency(recipient)
    own_codes = (recipient, *((entry.code, *entry.older_codes) if entry else ()))
    if any(organ.organ_id in own_codes for organ in message.recipients):
        return message
    return dataclasses.replace(message, recipients=(*message.recipients, Organ(organ_id=recipient)))


def attachment_sources(attachments: Sequence[IncomingAttachment], paths: Sequence[Path]) -> list[AttachmentSource]:
    """The attachments as `write_classic` takes them, their bytes at `paths`."""
    return [
        AttachmentSource(
            content_id=CONTENT_ID_PREFIX + attachment.digest,
            name=attachment.name,
            description=attachment.description,
            size=attachment.size,
            open=functools.partial(_opened, path),
        )
        for attachment, path in zip(attachments, paths, strict=True)
    ]


async def save_attachment(node: NodeApi, attachment: IncomingAttachment, file: BinaryIO, path: Path) -> None:
    """Write the bytes of `attachment` to `file`, open at `path`, and see that they are those that the message names.

    Raises Unavailable `attachment-damaged`, and the errors of the node and of storage.
    """
    digest = hashlib.sha256()
    with storage_errors(path):
        async with node.open_attachment(attachment.digest) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)
    if digest.hexdigest() != attachment.digest:
        raise Unavailable(
            "attachment-damaged",
            f"The node's copy of the attachment {attachment.name!r} has another digest than the message names.",
            mend="Check the node's disk.",
        )


async def require_writable(delivery: Delivery, node: NodeApi) -> None:
    """Pass if the classic form can carry `delivery`. Raises Rejected, as `write_classic` does."""
    nowhere = [Path()] * len(delivery.attachments)
    require_carried(await as_received(delivery, node), attachment_sources(delivery.attachments, nowhere))


async def write_delivery(delivery: Delivery, node: NodeApi, spool: Spool) -> WrittenMessage:
    """Write `delivery` in the classic form, its attachments inside, to a file of `spool`.

    Raises Rejected, if the classic form cannot carry it (what `write_classic` raises), and Unavailable.
    """
    paths: list[Path] = []
    for attachment in delivery.attachments:
        file = await asyncio.to_thread(spool.new_file)
        paths.append(Path(file.name))
        with file:
            await save_attachment(node, attachment, file, paths[-1])
    message = await as_received(delivery, node)
    return await asyncio.to_thread(_write, message, attachment_sources(delivery.attachments, paths), spool)


def _write(message: Message, sources: Sequence[AttachmentSource], spool: Spool) -> WrittenMessage:
    with spool.new_file() as file:
        path = Path(file.name)
        with storage_errors(path):
            write_classic(message, sources, file.write)
            size = file.tell()
            file.flush()
    return WrittenMessage(path, size)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")
