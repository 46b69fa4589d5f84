"""What becomes of a classic file's markup: a small tree of its elements, and attachments decoded as they pass.

libxml2 calls this target as it reads; a tree of its own would hold every attachment whole. Each limit is checked here,
before what it bounds is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from schemas.attachment_content import AttachmentContent, SettledContent
from schemas.attachment_sink import AttachmentBudget, SinkOpener
from schemas.classic_elements import ClassicElement, Findings
from schemas.errors import LimitExceeded, MalformedMessage, Rejected
from schemas.limits import KIB, Limits
from schemas.namespaces import DS, EXTENSION, QCVN

#: Elements whose loss would lose the message: in another namespace they are an error, not something to pass over.
_STRUCTURE = frozenset(
    {
        "edXMLEnvelope",
        "edXMLHeader",
        "edXMLBody",
        "edXMLManifest",
        "MessageHeader",
        "TraceHeaderList",
        "AttachmentEncoded",
        "Attachment",
        "ContentTransferEncoded",
    }
)
#: libxml2 hands on a text with CR LF, or of character references, in crumbs; this many characters are decoded together.
_DECODED_AT_ONCE = 64 * KIB


@dataclass(frozen=True, slots=True)
class ReadAttachment:
    """An Attachment element and what came of its content."""

    element: ClassicElement
    content: SettledContent


@dataclass(slots=True)
class _Open:
    """An element whose end tag has not come yet, and its text so far."""

    element: ClassicElement
    texts: list[str] = field(default_factory=list)
    text_bytes: int = 0


class ClassicTarget:
    """A parser target (lxml). Its feeder sets `line` before each piece, `doctype_line` before one with a DOCTYPE."""

    def __init__(self, open_sink: SinkOpener, limits: Limits, findings: Findings) -> None:
        self.line = 1
        self.doctype_line = 1
        #: How often the parser has called.
        self.events = 0
        self.root: ClassicElement | None = None
        self.attachments: list[ReadAttachment] = []
        self.placeholder_signature = False
        self._open_sink = open_sink
        self._limits = limits
        self._budget = AttachmentBudget(limits)
        self._findings = findings
        self._open: list[_Open] = []
        self._elements = 0
        self._recipients = 0
        # How deep the parser stands in an element of another namespace, 0 outside.
        self._passing_over = 0
        self._content: AttachmentContent | None = None
        self._content_line = 0
        self._content_texts: list[str] = []
        self._content_characters = 0
        self.in_content = False

    def discard(self) -> None:
        """Void the attachment that was being read, if one was."""
        if self._content is not None:
            self._content.discard()
            self._content = None

    def doctype(self, name: str, _public_id: str | None, _system: str | None) -> NoReturn:
        raise MalformedMessage(
            "doctype-forbidden",
            f"The file has a document type declaration (DOCTYPE {name}), which could define entities.",
            line=self.doctype_line,
            mend="Remove the declaration and write every text out.",
        )

    def start(self, tag: str, _attributes: object) -> None:
        self.events += 1
        self._count(len(self._open) + self._passing_over + 1)
        if self._passing_over:
            self._passing_over += 1
            return
        namespace, _, name = tag.rpartition("}")
        namespace = namespace[1:]
        parent = self._open[-1].element if self._open else None
        if self.in_content:
            raise self._fault("text-with-markup", f"The content of the attachment holds an element {name}.")
        if parent is None:
            self._require_root(namespace, name)
        elif namespace != QCVN:
            self._pass_over(namespace, name, parent)
            return
        elif name == parent.name:
            raise self._fault("start-tag-doubled", f"{name} stands directly inside {name}: its start tag is doubled.")
        element = ClassicElement(name, self.line, parent)
        if parent is None:
            self.root = element
        else:
            parent.children.append(element)
            self._enter(element, parent)
        self._open.append(_Open(element))

    def data(self, text: str) -> None:
        self.events += 1
        if self._passing_over or not self._open:
            return
        if self.in_content:
            self._content_texts.append(text)
            self._content_characters += len(text)
            if self._content_characters >= _DECODED_AT_ONCE:
                self._decode()
            return
        current = self._open[-1]
        current.text_bytes += len(text.encode())
        if current.text_bytes > self._limits.text_bytes:
            raise self._limit("text-too-long", f"The text has more than {self._limits.text_bytes} bytes.")
        current.texts.append(text)

    def end(self, _tag: str) -> None:
        self.events += 1
        if self._passing_over:
            self._passing_over -= 1
            return
        if self.in_content and self._content is not None:
            self._decode()
            with self._placed():
                self._content.finish(self._content_line)
            self.in_content = False
        current = self._open[-1]
        element = current.element
        element.text = "".join(current.texts)
        if element.name == "Attachment" and _is_attachment_list(element.parent):
            self._settle(element)
        self._open.pop()

    def close(self) -> None:
        """Called by the parser at the end of the file."""

    def _count(self, depth: int) -> None:
        self._elements += 1
        if self._elements > self._limits.elements:
            raise self._limit("too-many-elements", f"The file has more than {self._limits.elements} elements.")
        if depth > self._limits.depth:
            raise self._limit("too-deep", f"Elements stand more than {self._limits.depth} deep in each other.")

    def _enter(self, element: ClassicElement, parent: ClassicElement) -> None:
        """Do what the place of an element demands."""
        name = element.name
        if name == "To" and parent.name == "MessageHeader":
            self._recipients += 1
            if self._recipients > self._limits.recipients:
                raise self._limit("too-many-recipients", f"The file has more than {self._limits.recipients} of them.")
        elif name == "Attachment" and _is_attachment_list(parent):
            if len(self.attachments) == self._limits.attachments:
                raise self._limit("too-many-attachments", f"The file has more than {self._limits.attachments} of them.")
        elif name == "ContentTransferEncoded" and parent.name == "Attachment" and _is_attachment_list(parent.parent):
            if self._content is not None:
                raise self._fault("element-repeated", "The attachment has two contents.")
            self._begin_content(parent)
        elif name == "Signature" and parent.name == "edXMLHeader":
            self.placeholder_signature = True
            self._findings.add(
                "signature-placeholder",
                "The Signature is none of XML-DSig: a placeholder, which proves nothing.",
                element,
            )

    def _begin_content(self, attachment: ClassicElement) -> None:
        name = attachment.first("AttachmentName")
        index = len(self.attachments)
        self._content = AttachmentContent(
            name.text if name is not None else None, lambda: self._open_sink(index), self._limits, self._budget
        )
        self._content_line = self.line
        self.in_content = True

    def _decode(self) -> None:
        text = "".join(self._content_texts)
        self._content_texts.clear()
        self._content_characters = 0
        if self._content is not None:
            with self._placed():
                self._content.feed(text, self._content_line)
        self._content_line += text.count("\n")

    def _settle(self, attachment: ClassicElement) -> None:
        if self._content is None:
            raise self._fault(
                "attachment-without-content",
                "The attachment has no ContentTransferEncoded.",
                "Write its content as base64, or leave the attachment out.",
            )
        name = attachment.first("AttachmentName")
        with self._placed():
            settled = self._content.settle(name.text if name is not None else "")
        self._content = None
        self.attachments.append(ReadAttachment(attachment, settled))

    def _require_root(self, namespace: str, name: str) -> None:
        if name != "edXML":
            raise MalformedMessage(
                "not-edxml", f"The root element is {name}, not edXML.", line=self.line, mend="Give an edXML file."
            )
        if namespace != QCVN:
            raise _wrong_namespace(namespace, name, self.line)

    def _pass_over(self, namespace: str, name: str, parent: ClassicElement) -> None:
        """An element of another namespace never stands for one of edXML: it is left out with all that it holds."""
        if namespace == EXTENSION:
            raise self._fault(
                "envelope-sealed-form",
                "The file is an envelope that travels, not the classic form.",
                "Verify it with `congvan envelope verify`; its attachments lie beside it.",
            )
        if name in _STRUCTURE:
            raise _wrong_namespace(namespace, name, self.line)
        self._passing_over = 1
        parent.holds_foreign = True
        if (namespace, name) == (DS, "Signature"):
            self._findings.add("signature-unverified", "The Signature was not verified.", parent, line=self.line)
            return
        self._findings.add(
            "foreign-element",
            f"{name} stands in {_named(namespace)} and is left out; careless readers take it for one of edXML.",
            parent,
            line=self.line,
            strict_refuses=True,
        )

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """An error of what happens inside names the open element and its line."""
        try:
            yield
        except Rejected as error:
            error.line = error.line or self._content_line
            raise self._open[-1].element.located(error) from None

    def _fault(self, code: str, message: str, mend: str | None = None) -> MalformedMessage:
        return MalformedMessage(code, message, element=self._open[-1].element.path, line=self.line, mend=mend)

    def _limit(self, code: str, message: str) -> LimitExceeded:
        element = self._open[-1].element.path if self._open else None
        mend = "Send it in several messages, or ask the operator for a higher limit."
        return LimitExceeded(code, message, element=element, line=self.line, mend=mend)


def _is_attachment_list(element: ClassicElement | None) -> bool:
    """True for AttachmentEncoded where writers put it: beside the envelope, or by mistake inside."""
    return (
        element is not None
        and element.name == "AttachmentEncoded"
        and element.parent is not None
        and element.parent.name in ("edXML", "edXMLEnvelope")
    )


def _wrong_namespace(namespace: str, name: str, line: int) -> MalformedMessage:
    return MalformedMessage(
        "wrong-namespace",
        f"{name} stands in {_named(namespace)}; edXML's is {QCVN}.",
        element=name,
        line=line,
        mend="Bind the namespace of QCVN 102:2016, with or without a prefix.",
    )


def _named(namespace: str) -> str:
    return f"the namespace {namespace}" if namespace else "no namespace"
