"""What a message in edXML, sealed or classic, is to an agency: which item, with which attachments."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator

from lxml import etree

from schemas.namespaces import QCVN
from tests.crash.register import DOCUMENT, Item


def item_in(envelope: etree._ElementTree, code: str) -> Item:
    """The item that `envelope` is at the agency `code`."""
    status = _text(envelope, "StatusCode")
    document_id = _text(envelope, "ResponseFor" if status else "MessageHeader", "DocumentId")
    return Item(code, status or DOCUMENT, document_id or "", _text(envelope, "From", "OrganId") or "")


def classic_item(file: bytes, code: str) -> tuple[Item, tuple[str, ...]]:
    """The item in a classic file, and the digests of its attachments; read as agencies' software does: each is a ZIP
    with one entry."""
    tree = etree.parse(io.BytesIO(file), etree.XMLParser(huge_tree=True))
    return item_in(tree, code), tuple(_attachments(tree))


def _attachments(tree: etree._ElementTree) -> Iterator[str]:
    for encoded in tree.iter(f"{{{QCVN}}}ContentTransferEncoded"):
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(encoded.text or ""))) as archive:
            [name] = archive.namelist()
            yield hashlib.sha256(archive.read(name)).hexdigest()


def _text(envelope: etree._ElementTree, *path: str) -> str | None:
    return envelope.findtext(".//" + "/".join(f"{{{QCVN}}}{name}" for name in path))
