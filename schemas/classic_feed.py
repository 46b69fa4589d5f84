"""Feeding a classic file to libxml2 in pieces: the encodings that the axis uses, exact lines, bounded sizes.

The pieces end at tags and lines, so that the line of each event is known; an attachment's content goes in as large
pieces.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

from lxml import etree

from schemas.classic_elements import Findings
from schemas.classic_target import ClassicTarget
from schemas.errors import LimitExceeded, MalformedMessage, Rejected
from schemas.limits import MIB, Limits

#: Enough for an XML declaration: it must be seen whole before the first byte is parsed.
_HEAD_BYTES = 512
_DECLARED_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_UTF8_NAMES = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_UTF16_NAMES = frozenset({"utf-16", "utf-16le", "utf-16be", "utf16"})
#: What libxml2 may hold back before it reports it. Its own limit, 10 MB, is judged only when the end has come.
_LONGEST_TOKEN = 8 * MIB
_TAG_OR_LINE_END = re.compile(rb"[>\n]")

_Codes = etree.ErrorTypes
#: What libxml2 says of a name above 50,000 characters, and of other things that only an attack has.
_PARSER_LIMITS = frozenset({_Codes.ERR_RESOURCE_LIMIT, _Codes.ERR_NAME_TOO_LONG})


class ClassicFeed:
    """One file on its way into `target`."""

    def __init__(self, target: ClassicTarget, limits: Limits, findings: Findings) -> None:
        self._target = target
        self._limits = limits
        self._findings = findings
        self._head = b""
        self._bytes = 0
        self._envelope_bytes = 0
        self._silent_bytes = 0
        # DOCTYPE is refused by the target before libxml2 reads what it declares. The encoding is settled here.
        self._parser = etree.XMLParser(
            target=target,  # type: ignore[arg-type] # lxml-stubs ask for bytes too, and for methods that lxml does not
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
        )

    def run(self, chunks: Iterable[bytes]) -> None:
        """Feed the whole file.

        Raises:
            MalformedMessage: it is no well-formed XML, or `target` refused something.
            LimitExceeded: it is larger than allowed.
        """
        try:
            for chunk in self._in_utf8(self._counted(chunks)):
                self._feed(chunk)
        except UnicodeDecodeError as error:
            raise MalformedMessage(
                "encoding-damaged",
                "The file begins as UTF-16 and holds bytes that are none.",
                line=self._target.line,
                mend="Save the file as UTF-8.",
            ) from error
        except etree.XMLSyntaxError as error:
            raise self._unbound_prefix() or self._translated(error) from error
        except Rejected as error:
            # An unbound prefix gives an element of no namespace, which other rules refuse for a lesser reason.
            raise self._unbound_prefix() or error from error
        self._end()

    def _end(self) -> None:
        if not self._head:
            raise MalformedMessage("file-empty", "The file is empty.", mend="Give an edXML file.")
        try:
            self._parser.close()
        except etree.XMLSyntaxError as error:
            raise self._unbound_prefix() or MalformedMessage(
                "truncated",
                f"The file breaks off: {_sentence(error)}.",
                line=error.lineno or self._target.line,
                mend="Get the whole file; its end is missing.",
            ) from error
        if (fault := self._unbound_prefix()) is not None:
            raise fault

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._bytes += len(chunk)
            if self._bytes > self._limits.message_bytes:
                raise self._too_large(f"The file has more than {self._limits.message_bytes} bytes.")
            yield chunk

    def _in_utf8(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._head += chunk
            if len(self._head) >= _HEAD_BYTES:
                break
        decoder = _utf16_decoder(self._head)
        head, self._head = self._head, self._head[:_HEAD_BYTES]
        if decoder is None:
            self._check_declaration(head)
            yield head
            yield from chunks
            return
        yield decoder.decode(head).encode()
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()

    def _check_declaration(self, head: bytes) -> None:
        declared = _DECLARED_ENCODING.search(head.removeprefix(codecs.BOM_UTF8))
        name = declared[1].decode("ascii").lower() if declared else "utf-8"
        if name in _UTF16_NAMES:
            self._findings.add(
                "encoding-mislabelled",
                "The file declares UTF-16 and is UTF-8; it is read as what it is.",
                line=1,
                strict_refuses=True,
            )
        elif name not in _UTF8_NAMES:
            raise MalformedMessage(
                "encoding-unknown",
                f"The file declares the encoding {name}.",
                line=1,
                mend="Save the file as UTF-8.",
            )

    def _feed(self, chunk: bytes) -> None:
        target, start = self._target, 0
        while start < len(chunk):
            if target.in_content and (end := chunk.find(b"<", start)) != start:
                end = len(chunk) if end < 0 else end
                # XML reads CR LF as LF; done here, libxml2 need not hand the content on line by line.
                piece = chunk[start:end].replace(b"\r\n", b"\n")
            else:
                found = _TAG_OR_LINE_END.search(chunk, start)
                end = found.end() if found else len(chunk)
                piece = chunk[start:end]
                self._take_from_envelope(len(piece))
                # libxml2 tells of a DOCTYPE only when it has read on to the first declaration inside.
                if target.root is None and b"<!DOCTYPE" in piece:
                    target.doctype_line = target.line
            events = target.events
            self._parser.feed(piece)
            self._require_progress(len(piece) if target.events == events else 0)
            target.line += chunk.count(b"\n", start, end)
            start = end

    def _take_from_envelope(self, size: int) -> None:
        self._envelope_bytes += size
        if self._envelope_bytes > self._limits.envelope_bytes:
            most = self._limits.envelope_bytes
            raise self._too_large(f"The message has more than {most} bytes beside its attachments.")

    def _require_progress(self, silent_bytes: int) -> None:
        """libxml2 keeps a comment, a CDATA section or a tag until its end is there: no file may make it hold much."""
        self._silent_bytes = self._silent_bytes + silent_bytes if silent_bytes else 0
        if self._silent_bytes > _LONGEST_TOKEN:
            raise LimitExceeded(
                "token-too-long",
                f"The file has a comment, a CDATA section or a tag of more than {_LONGEST_TOKEN} bytes.",
                line=self._target.line,
                mend="Write an attachment as plain base64 text, not as CDATA, and leave long comments out.",
            )

    def _too_large(self, message: str) -> LimitExceeded:
        return LimitExceeded(
            "message-too-large",
            message,
            line=self._target.line,
            mend="Send it in several messages, or ask the operator for a higher limit.",
        )

    def _unbound_prefix(self) -> MalformedMessage | None:
        """The first prefix that the file uses and does not bind. libxml2 notes it and goes on."""
        for entry in self._parser.feed_error_log:
            if entry.type == _Codes.NS_ERR_UNDEFINED_NAMESPACE:
                return MalformedMessage(
                    "unbound-prefix",
                    f"{entry.message}.",
                    line=entry.line,
                    mend="Declare the prefix with xmlns on the element or above it.",
                )
        return None

    def _translated(self, error: etree.XMLSyntaxError) -> Rejected:
        line, sentence = error.lineno or self._target.line, _sentence(error)
        code: int = error.code  # type: ignore[attr-defined] # lxml-stubs leave it out
        if code in (_Codes.ERR_RESERVED_XML_NAME, _Codes.ERR_DOCUMENT_EMPTY) and b"<?xml" in self._head:
            return MalformedMessage(
                "bytes-before-prolog",
                "Something stands before the XML declaration.",
                line=line,
                mend="Begin the file with <?xml.",
            )
        if code == _Codes.ERR_DOCUMENT_EMPTY:
            return MalformedMessage(
                "not-xml", f"The file is no XML: {sentence}.", line=line, mend="Give an edXML file."
            )
        if code == _Codes.ERR_DOCUMENT_END:
            return MalformedMessage(
                "bytes-after-root",
                "Something stands after the end of the root element.",
                line=line,
                mend="End the file after </edXML>.",
            )
        if code in _PARSER_LIMITS:
            return LimitExceeded(
                "parser-limit",
                f"The file exceeds a limit of the XML parser: {sentence}.",
                line=line,
            )
        return MalformedMessage("not-well-formed", f"The file is not well-formed XML: {sentence}.", line=line)


def _utf16_decoder(head: bytes) -> codecs.IncrementalDecoder | None:
    """How to decode what begins with `head`; None for UTF-8."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return codecs.getincrementaldecoder("utf-16")()
    if head.startswith(b"<\x00"):
        return codecs.getincrementaldecoder("utf-16-le")()
    if head.startswith(b"\x00<"):
        return codecs.getincrementaldecoder("utf-16-be")()
    return None


def _sentence(error: etree.XMLSyntaxError) -> str:
    # libxml2 writes a line feed into some messages; the place is given apart.
    return re.sub(r", line \d+, column \d+$", "", " ".join((error.msg or "no reason given").split()))
