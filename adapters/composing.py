"""A document made from what a person wrote and what the directory knows of the agencies named."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry
from schemas.envelope import Selector
from schemas.errors import LimitExceeded, Rejected
from schemas.limits import KIB
from schemas.message import Document, Organ
from schemas.metadata import AttachmentFacts, document_from_metadata, sender_from_metadata

#: Metadata is a page that a person wrote.
METADATA_LIMIT = 256 * KIB


class Directory(Protocol):
    """What composing asks of a node: `NodeApi` has it."""

    @property
    def served_codes(self) -> Sequence[AgencyCode]: ...

    async def agency(self, code: AgencyCode) -> AgencyEntry | None: ...


async def compose_document(
    node: Directory,
    metadata: Mapping[str, object],
    attachments: Sequence[AttachmentFacts],
    *,
    now: datetime,
    sender: AgencyCode | None = None,
    recipients: Sequence[AgencyCode] = (),
    selectors: Sequence[Selector] = (),
) -> Document:
    """The document that `metadata` describes, its agencies named as the directory names them.

    The sender is `sender`, else the key `from`, else the one agency that the node serves. `recipients` replaces
    the key `to` unless it is empty. With `selectors`, which go beside the document, it need name nobody itself.

    Raises:
        Rejected: `sender-ambiguous`, if nobody says which of several agencies sends it; `recipient-missing`; and what
            `document_from_metadata` raises.
    """
    written = sender_from_metadata(metadata)
    code = sender or (written.organ_id if written else only_served(node))
    organ = written if written and written.organ_id == code else Organ(organ_id=code)
    document = document_from_metadata(
        metadata, sender=await _named(node, organ), recipients=recipients, now=now, attachments=attachments
    )
    if not document.recipients and not selectors:
        raise Rejected(
            "recipient-missing",
            "The document names no recipient.",
            element="to",
            mend='Name them, as in: to = ["H23", "H31"].',
        )
    return dataclasses.replace(document, recipients=tuple([await _named(node, one) for one in document.recipients]))


def only_served(node: Directory) -> AgencyCode:
    """The one agency that `node` serves; raises `sender-ambiguous` if there are several, or none."""
    codes = node.served_codes
    if len(codes) == 1:
        return codes[0]
    raise Rejected(
        "sender-ambiguous",
        f"Nobody says which agency sends the document: this node serves {', '.join(map(str, codes)) or 'none yet'}.",
        element="from",
        mend="Name the sender: `from` in the metadata, --from on the command line.",
    )


async def _named(node: Directory, organ: Organ) -> Organ:
    """`organ` with the directory's name, unless whoever wrote it gave a name."""
    if organ.organ_name is not None:
        return organ
    entry = await node.agency(organ.organ_id)
    return dataclasses.replace(organ, organ_name=entry.name) if entry else organ


def parse_metadata(name: str, text: bytes) -> Mapping[str, object]:
    """The keys in the metadata file `name` (`.toml` or `.json`) with the bytes `text`.

    Raises:
        LimitExceeded: `metadata-too-large`.
        Rejected: `metadata-syntax`, with the place.
    """
    if len(text) > METADATA_LIMIT:
        raise LimitExceeded(
            "metadata-too-large", f"{name} has more than {METADATA_LIMIT} bytes.", mend="Keep the documents beside it."
        )
    try:
        # Notepad begins a file with a byte order mark.
        table: object = (tomllib.loads if name.endswith(".toml") else json.loads)(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Rejected(
            "metadata-syntax", f"{name} cannot be read: {error}.", mend="Correct it at that place."
        ) from error
    if not isinstance(table, dict):
        raise Rejected("metadata-syntax", f"{name} is no table of keys.", mend='Write an object: { "subject": … }.')
    return table
