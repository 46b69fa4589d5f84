"""Reading the classic form: an edXML file as agencies write it, its attachments inside as base64.

The reader is lenient in form and strict in meaning: any order, any prefix, odd dates and gaps are borne and reported;
what two readers could understand in two ways is refused. Attachments pass through in pieces, each limit checked before
the byte that would break it: a file of any size costs the same memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.attachment_sink import AttachmentSink, SinkOpener
from schemas.classic_attachments import ClassicAttachment, attachments_of
from schemas.classic_elements import ClassicElement, Findings
from schemas.classic_feed import ClassicFeed
from schemas.classic_target import ClassicTarget
from schemas.classic_values import message_of
from schemas.errors import CongvanError, MalformedMessage
from schemas.findings import Finding
from schemas.limits import DEFAULT_LIMITS, Limits
from schemas.message import Document, Message

__all__ = ["AttachmentSink", "ClassicAttachment", "ClassicMessage", "SinkOpener", "read_classic"]


@dataclass(frozen=True, slots=True)
class ClassicMessage:
    """What a classic file says.

    `attachments` stand in the order of the file; their bytes went to the sinks. `warnings` are the departures from the
    form, by line. `placeholder_signature` is True where the file carries a Signature that is none of XML-DSig; whatever
    signature a classic file carries, nothing of it is verified. `root` is the file element by element, as written.
    """

    message: Message
    attachments: tuple[ClassicAttachment, ...]
    warnings: tuple[Finding, ...]
    placeholder_signature: bool
    root: ClassicElement


def read_classic(
    chunks: Iterable[bytes], open_sink: SinkOpener, *, limits: Limits = DEFAULT_LIMITS, source: str
) -> ClassicMessage:
    """The message in `chunks`, the bytes of a classic file in pieces of any size.

    `open_sink` is asked for a sink when an attachment's first bytes are known; each is closed when its attachment is
    whole, or discarded. If this function raises, what the sinks took, closed or not, is void. `source` is the file's
    name for error messages. An exception of `chunks` or of a sink passes through.

    Raises:
        LimitExceeded: the file is larger, deeper or more numerous than `limits` allow; reading stopped there.
        MalformedCode: an agency that must be known has no code.
        MalformedMessage: the file is no XML, no edXML, damaged, or lacks what a message cannot be without. Its `code`
            names the rule, its `source`, `line` and `element` the place.
    """
    findings = Findings()
    target = ClassicTarget(open_sink, limits, findings)
    try:
        ClassicFeed(target, limits, findings).run(chunks)
        if target.root is None:
            raise MalformedMessage("file-empty", "The file holds no element.", mend="Give an edXML file.")
        message = message_of(target.root, findings)
        references = message.references if isinstance(message, Document) else ()
        attachments = attachments_of(target.attachments, references, findings)
    except CongvanError as error:
        raise error.located(source) from error.__cause__
    finally:
        # After a whole file nothing is open any more.
        target.discard()
    return ClassicMessage(message, attachments, findings.all(), target.placeholder_signature, target.root)
