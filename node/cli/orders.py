"""What a person orders on the command line, as a submission."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.classic_files import read_classic_file
from adapters.composing import compose_document, only_served, parse_metadata
from adapters.content_types import content_type_of
from adapters.sdk import OutgoingAttachment, Submission, Submitted
from adapters.spool import CHUNK, Spool
from node.foundation import Foundation
from node.usecases.identity import COMMAND_ADAPTER
from runtime.files import storage_errors
from runtime.terminal import progress
from schemas.codes import AgencyCode
from schemas.envelope import Override, Selector
from schemas.errors import Rejected
from schemas.findings import Finding
from schemas.limits import MIB
from schemas.message import Document, Message
from schemas.metadata import expiry_from_metadata, selectors_from_metadata
from schemas.recipients import parse_recipient, recipient_text

#: Files that together have less are copied before a bar could be seen.
_WORTH_A_BAR = 8 * MIB

#: What has no default, with the option that gives it.
_NEEDED = {"to": "--to CODE", "code": "--number 6101/VPCP-KSTT", "subject": "--subject TEXT"}


@dataclass(frozen=True, slots=True)
class Order:
    """Files to send and what was said of them. `options` are metadata keys; they stand above those of the file.

    `recipients` are agencies and selectors; where there are some, those of the file do not count.
    """

    files: Sequence[Path]
    recipients: Sequence[AgencyCode | Selector]
    sender: AgencyCode | None
    metadata_file: Path | None
    options: Mapping[str, object]
    key: str | None
    override: Override | None = None

    @property
    def codes(self) -> list[AgencyCode]:
        return [each for each in self.recipients if isinstance(each, AgencyCode)]

    @property
    def selectors(self) -> list[Selector]:
        return [each for each in self.recipients if isinstance(each, Selector)]


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of an order; `warnings` are those of a classic file's reader."""

    submitted: Submitted
    key: str
    message: Message
    warnings: Sequence[Finding] = ()
    selectors: Sequence[Selector] = ()

    @property
    def recipients(self) -> list[str]:
        """Codes and selectors, as people write them."""
        named = self.message.recipients if isinstance(self.message, Document) else ()
        return [*(organ.organ_id.value for organ in named), *map(recipient_text, self.selectors)]


def files_and_recipients(words: Sequence[str], to: Sequence[str]) -> tuple[list[Path], list[AgencyCode | Selector]]:
    """Tell files from recipients: after `--to H23 H31` the second code stands among the files.

    Raises `file-missing`, `file-kind` for a folder, `selector-malformed`, MalformedCode; `option-missing` for an empty
    code, as metadata may name others, whom nobody meant.
    """
    written = [code.strip() for word in to for code in word.split(",")]
    if not all(written):
        raise Rejected("option-missing", "--to has an empty place where a code is to stand.", mend="Give the code.")
    recipients = [parse_recipient(text) for text in written]
    files = []
    for word in words:
        path = Path(word)
        if path.is_file():
            files.append(path)
        elif path.is_dir():
            raise Rejected("file-kind", f"{path} is a folder.", mend="Name the files in it.")
        elif recipients and (recipient := _as_recipient(word)) is not None:
            recipients.append(recipient)
        else:
            raise Rejected("file-missing", f"{path}: there is no such file.", mend="Check the path.")
    if not files:
        missing = f"{words[0]}: there is no such file." if words else "No file was named."
        raise Rejected("file-missing", missing, mend="Name the documents to send.")
    return files, recipients


def _as_recipient(word: str) -> AgencyCode | Selector | None:
    try:
        return parse_recipient(word)
    except Rejected:
        return None


def code_of(number: str | None, notation: str | None) -> object:
    """The metadata key `code` from the options; None if neither is given. Raises `option-missing` for half of it."""
    if number is None and notation is None:
        return None
    if number is not None and notation is not None:
        return {"number": number, "notation": notation}
    if number is not None and "/" in number:
        return number
    raise Rejected(
        "option-missing",
        "A document's code has a number and a notation.",
        mend="Give --number 6101 --notation VPCP-KSTT, or --number 6101/VPCP-KSTT.",
    )


async def submit_order(node: Foundation, order: Order) -> Sent:
    """Submit what is ordered; raises as `Submitter.submit` and `compose_document` do, and `option-…`."""
    if order.key is not None and not order.key.strip():
        # An unset variable of a script: without its key, the script's next try would send a second message.
        raise Rejected("option-missing", "--key is empty.", mend="Give the key, or leave --key out.")
    if len(order.files) == 1 and order.files[0].suffix.lower() == ".edxml":
        return await _submit_classic(node, order)
    total = sum(path.stat().st_size for path in order.files)
    if total < _WORTH_A_BAR:
        return await _submit_files(node, order, _ignore)
    # With a key the files are read twice: once for its fingerprint, once for the node's own copy.
    with progress("Sending", total * (2 if order.key else 1)) as advance:
        return await _submit_files(node, order, advance)


def _ignore(_bytes: int) -> None: ...


async def _submit_files(node: Foundation, order: Order, advance: Callable[[int], None]) -> Sent:
    metadata = _metadata_of(order)
    fingerprint = await asyncio.to_thread(_fingerprint, order, metadata, advance) if order.key else None
    if order.metadata_file is None:
        metadata = await _with_own_name(node, order, metadata)
    now = node.clock()
    if order.recipients:
        # Agencies among them stay in `to`, where a table may give one its name.
        selectors: Sequence[Selector] = order.selectors
        metadata = metadata if order.codes else {**metadata, "to": ()}
    else:
        selectors = selectors_from_metadata(metadata)
    message = await compose_document(
        node.api(COMMAND_ADAPTER),
        metadata,
        (),
        now=now,
        sender=order.sender,
        recipients=order.codes,
        selectors=selectors,
    )
    attachments = [
        OutgoingAttachment(name=path.name, content_type=content_type_of(path.name), description=path.name, path=path)
        for path in order.files
    ]
    expires_at = expiry_from_metadata(metadata, now)
    return await _submit(
        node,
        order,
        message,
        attachments,
        selectors=selectors,
        expires_at=expires_at,
        fingerprint=fingerprint,
        advance=advance,
    )


def _metadata_of(order: Order) -> dict[str, object]:
    metadata: dict[str, object] = {}
    if order.metadata_file is not None:
        with storage_errors(order.metadata_file):
            metadata |= parse_metadata(order.metadata_file.name, order.metadata_file.read_bytes())
    metadata |= order.options
    absent = [
        option for name, option in _NEEDED.items() if name not in metadata and not (name == "to" and order.recipients)
    ]
    if absent:
        raise Rejected(
            "option-missing",
            f"The document lacks what these options give: {', '.join(absent)}.",
            mend="Give them, or a metadata file with --meta.",
        )
    return metadata


async def _with_own_name(node: Foundation, order: Order, metadata: Mapping[str, object]) -> dict[str, object]:
    """Place and signer are the agency's name where a command says nothing of them; edXML cannot be without."""
    code = order.sender or only_served(node.api(COMMAND_ADAPTER))
    entry = await node.directory.agency(code)
    name = entry.name if entry else code.value
    return {"place": name, "signer": name, **metadata}


async def _submit_classic(node: Foundation, order: Order) -> Sent:
    path = order.files[0]
    if order.options or order.recipients or order.metadata_file or order.sender:
        raise Rejected(
            "option-unused",
            f"{path} is an edXML file: it says itself from whom, to whom and what it is.",
            mend="Leave the options out, or send the documents that are in it.",
        )
    spool = await asyncio.to_thread(Spool, node.folder.data / "spool")
    with spool:
        digest = hashlib.sha256()

        def read() -> Any:
            with storage_errors(path), path.open("rb") as file:
                chunks = iter(lambda: file.read(CHUNK), b"")
                return read_classic_file(_digested(chunks, digest.update), path.name, spool, node.limits)

        classic = await asyncio.to_thread(read)
        sent = await _submit(
            node, order, classic.message, classic.attachments, fingerprint=digest.hexdigest(), advance=_ignore
        )
    return dataclasses.replace(sent, warnings=classic.warnings)


def _digested(chunks: Iterator[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


async def _submit(
    node: Foundation,
    order: Order,
    message: Message,
    attachments: Sequence[OutgoingAttachment],
    *,
    selectors: Sequence[Selector] = (),
    expires_at: datetime | None = None,
    fingerprint: str | None,
    advance: Callable[[int], None],
) -> Sent:
    key = str(uuid.uuid4()) if order.key is None else order.key
    submission = Submission(
        key=key,
        # Without a key of the caller's nothing can come twice under it.
        fingerprint=fingerprint or hashlib.sha256(key.encode()).hexdigest(),
        message=message,
        attachments=attachments,
        expires_at=expires_at,
        selectors=selectors,
        override=order.override,
    )
    submitted = await node.submitter.submit(COMMAND_ADAPTER, submission, progress=advance)
    return Sent(submitted, key, message, selectors=selectors)


def _fingerprint(order: Order, metadata: Mapping[str, object], advance: Callable[[int], None]) -> str:
    """The digest of all that was ordered, whenever it was: files by name and content, metadata, both ends."""
    files = [(os.fsencode(path.name).hex(), _digest(path, advance)) for path in order.files]
    said = [
        files,
        sorted((name, repr(value)) for name, value in metadata.items()),
        list(map(recipient_text, order.recipients)),
        order.sender.value if order.sender else None,
    ]
    return hashlib.sha256(json.dumps(said, ensure_ascii=True).encode()).hexdigest()


def _digest(path: Path, advance: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with storage_errors(path), path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()
