"""Writing the classic form as strict receivers on the axis need it (edxml.md, "What strict readers need of a writer").

Streaming: an attachment is read once, packed and encoded piece by piece. Equal input gives equal bytes.
"""

from __future__ import annotations

import binascii
import itertools
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.attachment_content import extension_of, is_wrapping_of_archive
from schemas.canonical_times import with_canonical_times
from schemas.errors import Rejected
from schemas.findings import Finding
from schemas.limits import KIB
from schemas.markup import encoded, escaped
from schemas.message import Document, Message
from schemas.message_markup import OPENING, message_body, message_header
from schemas.namespaces import EXTENSION
from schemas.peer_limits import beyond_peer_limits
from schemas.zip_writer import single_entry_zip

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_CONTENT_TYPE: Final = "application/zip"
#: A multiple of 3, so that pieces of base64 join without padding; large enough to hold any ZIP header whole.
_PIECE = 192 * KIB
_ENTRY_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, EXTENSION)
_PLAIN_EXTENSION = re.compile(r"[A-Za-z0-9]{1,16}", re.ASCII)


class ByteSource(Protocol):
    """What an attachment is read from: a file opened in binary mode is one."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentSource:
    """An attachment to write. `content_id` is without `cid:`, `size` the exact number of bytes that `open` gives."""

    content_id: str
    name: str
    description: str
    size: int
    open: Callable[[], AbstractContextManager[ByteSource]]


def write_classic(
    message: Message, attachments: Sequence[AttachmentSource], out: Callable[[bytes], object]
) -> tuple[Finding, ...]:
    """Write `message` with `attachments` inside, to `out`, piece by piece, UTF-8.

    The attachments are those of the manifest, in its order. Each goes in a ZIP of one entry named `<uuid>.<extension>`,
    one named `.zip` as it is. A date in a known form is written `yyyy/MM/dd`. Texts are never cut: what peers would cut
    or misread is in the findings. The classic form carries no signature and no extension element.

    Raises:
        Rejected: `no-recipient`, `recipient-repeated`, `document-id-empty`; `attachments-unmatched`, if the attachments
            are not those of the manifest; `text-not-carried`, if a text holds what XML cannot carry;
            `attachment-size-wrong`, if a source gave more or fewer bytes than it said. What went to `out` is then void.
    """
    _check(message, attachments)
    message, findings = with_canonical_times(message)
    out(_head(message))
    if isinstance(message, Document):
        out(b"<AttachmentEncoded>")
        for index, attachment in enumerate(attachments):
            out(_attachment_head(attachment))
            entry = _entry_name(message.document_id, index, attachment)
            for piece in _base64(_content(attachment, entry)):
                out(piece)
            out(b"</ContentTransferEncoded></Attachment>")
        out(b"</AttachmentEncoded>")
    out(b"</edXML>\n")
    return (*beyond_peer_limits(message), *findings)


def require_carried(message: Message, attachments: Sequence[AttachmentSource]) -> None:
    """Pass if the classic form can carry `message`, without reading its attachments.

    Raises:
        Rejected: what `write_classic` refuses before it reads one.
    """
    _check(message, attachments)
    _head(with_canonical_times(message)[0])
    for attachment in attachments:
        _attachment_head(attachment)


def _head(message: Message) -> bytes:
    """The file as far as its attachments."""
    header, body = message_header(message), message_body(message)
    return encoded(f"{_DECLARATION}{OPENING}{header}</edXML:edXMLHeader>{body}</edXML:edXMLEnvelope>")


def _check(message: Message, attachments: Sequence[AttachmentSource]) -> None:
    references = message.references if isinstance(message, Document) else ()
    named = [(reference.content_id, reference.attachment_name) for reference in references]
    if named != [(attachment.content_id, attachment.name) for attachment in attachments]:
        raise Rejected(
            "attachments-unmatched",
            f"The manifest names {len(named)} attachments, and others ({len(attachments)}) are to be written.",
            element="edXMLManifest",
            mend="Give the attachments of the manifest, in its order.",
        )
    if not isinstance(message, Document):
        return
    if not message.document_id:
        raise Rejected(
            "document-id-empty",
            "The document has no DocumentId, by which every status speaks of it.",
            element="MessageHeader/DocumentId",
            mend="Write sender,yyyy/MM/dd,number/notation.",
        )
    codes = [recipient.organ_id for recipient in message.recipients]
    if not codes:
        raise Rejected(
            "no-recipient",
            "The document names no recipient, which the classic form cannot be without.",
            element="MessageHeader",
            mend="Write the named recipients, and the codes that the receiving node serves.",
        )
    if len(set(codes)) < len(codes):
        repeated, _ = Counter(codes).most_common(1)[0]
        raise Rejected(
            "recipient-repeated",
            f"{repeated.value} is named as a recipient twice.",
            element="MessageHeader/To",
            mend="Name each agency once.",
        )


def _attachment_head(attachment: AttachmentSource) -> bytes:
    return encoded(
        "<Attachment>"
        f"<ContentId>cid:{escaped(attachment.content_id)}</ContentId>"
        f"<AttachmentName>{escaped(attachment.name)}</AttachmentName>"
        f"<Description>{escaped(attachment.description)}</Description>"
        f"<ContentType>{_CONTENT_TYPE}</ContentType>"
        "<ContentTransferEncoded>"
    )


def _entry_name(document_id: str, index: int, attachment: AttachmentSource) -> str:
    """`<uuid>.<extension>`, another one for each attachment of a message and the same one whenever it is written."""
    name = uuid.uuid5(_ENTRY_NAMES, f"{index} {attachment.content_id} {document_id}")
    extension = extension_of(attachment.name)
    # "unk" is what VNPT's library writes for a file whose name tells no type.
    return f"{name}.{extension if _PLAIN_EXTENSION.fullmatch(extension) else 'unk'}"


def _content(attachment: AttachmentSource, entry_name: str) -> Iterator[bytes]:
    """What is to be encoded: a ZIP around the attachment, or an attachment that is a `.zip` itself.

    Strict receivers unwrap by the name: all but what ends in `.zip`, lower case. An archive that looks like a wrapping
    is wrapped all the same, since a reader that goes by the bytes would take that wrapping off.
    """
    with attachment.open() as source:
        pieces = _pieces(source, attachment)
        if attachment.name.endswith(".zip"):
            first = next(pieces, b"")
            pieces = itertools.chain((first,), pieces)
            if not is_wrapping_of_archive(first):
                yield from pieces
                return
        yield from single_entry_zip(entry_name, pieces, attachment.size)


def _pieces(source: ByteSource, attachment: AttachmentSource) -> Iterator[bytes]:
    """All that `source` gives, in whole pieces."""
    total, held = 0, b""
    while data := source.read(_PIECE - len(held)):
        total += len(data)
        held += data
        if len(held) == _PIECE:
            yield held
            held = b""
    if held:
        yield held
    if total != attachment.size:
        raise Rejected(
            "attachment-size-wrong",
            f"The attachment {attachment.name!r} has {total} bytes, and was said to have {attachment.size}.",
            mend="Check the storage that holds it.",
        )


def _base64(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        data = rest + piece
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        if whole:
            yield binascii.b2a_base64(data[:whole], newline=False)
    yield binascii.b2a_base64(rest, newline=False)
