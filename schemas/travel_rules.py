"""What must hold in an envelope that travels, beyond the grammar of travel.xsd: what one element says of another.

The writer asks before it writes, so that nothing is sealed that a hub would refuse; the reader asks again. A rule names
the place as a path (`schemas.xml.element_path`), to which the reader adds the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemas.codes import AgencyCode
from schemas.envelope import CONTENT_ID_PREFIX, Envelope, Extension, Selector, SelectorKind, is_sha256_hex
from schemas.errors import MalformedCode, MalformedMessage, Rejected
from schemas.markup import nth
from schemas.message import Document

#: As in extension.xsd.
_LABEL_CHARACTERS = 255
_OVERRIDE_CHARACTERS = 300
#: A DocumentId stands in each receipt, which is short: code, date, number and notation have about 90 characters.
_DOCUMENT_ID_CHARACTERS = 1000
#: The largest number of edXML's (32 bits, as the axis' reading libraries take) and of a size (64 bits).
_INT = 2**31
_LONG = 2**63


def check_envelope(envelope: Envelope) -> None:
    """Pass if `envelope` may travel.

    Raises:
        MalformedMessage: by the code of the first rule that does not hold.
    """
    for fault in _faults(envelope):
        raise fault


def _faults(envelope: Envelope) -> Iterator[Rejected]:
    extension = envelope.extension
    yield from _extension_faults(extension)
    if isinstance(envelope.message, Document):
        yield from _recipient_faults(envelope.message, extension)
        yield from _document_faults(envelope.message)
        yield from _attachment_faults(envelope.message, extension)
        return
    if extension.selectors:
        yield MalformedMessage(
            "status-with-selectors",
            "A status message goes to the document's sender, or to its recipients, by the hub's record.",
            element="Extension/Selector",
            mend="Leave the selectors out.",
        )
    if extension.attachment_sizes:
        yield MalformedMessage(
            "attachment-size-unmatched",
            "A status message has no attachments.",
            element="Extension/AttachmentSize",
            mend="Leave the sizes out.",
        )


def _extension_faults(extension: Extension) -> Iterator[Rejected]:
    if not 1 <= len(extension.submission_id) <= _LABEL_CHARACTERS:
        yield MalformedMessage(
            "submission-id-malformed",
            f"The submission id has {len(extension.submission_id)} characters.",
            element="Extension/SubmissionId",
            mend=f"Give it 1 to {_LABEL_CHARACTERS}.",
        )
    for place, digest in enumerate(extension.about):
        if not is_sha256_hex(digest):
            yield _no_digest(digest, nth("Extension/About", place))
    for place, selector in enumerate(extension.selectors):
        yield from _selector_faults(selector, nth("Extension/Selector", place))
    if extension.override is not None:
        for name, text in (("By", extension.override.by), ("Reason", extension.override.reason)):
            if not 1 <= len(text) <= _OVERRIDE_CHARACTERS:
                yield MalformedMessage(
                    "override-malformed",
                    f"An override's {name} has {len(text)} characters.",
                    element=f"Extension/Override/{name}",
                    mend=f"Say who answers for it and why, in 1 to {_OVERRIDE_CHARACTERS} characters each.",
                )
    if extension.expires_at is not None and extension.expires_at.tzinfo is None:
        yield MalformedMessage(
            "expiry-zoneless",
            f"The expiry {extension.expires_at} names no instant.",
            element="Extension/ExpiresAt",
            mend="Give it a time zone.",
        )
    for place, attachment in enumerate(extension.attachment_sizes):
        element = nth("Extension/AttachmentSize", place)
        if not is_sha256_hex(attachment.digest):
            yield _no_digest(attachment.digest, element)
        if not 0 <= attachment.size < _LONG:
            yield MalformedMessage(
                "attachment-size-malformed", f"{attachment.size} is no length in bytes.", element=element
            )
    if (repeated := _first_repeated(size.digest for size in extension.attachment_sizes)) is not None:
        yield MalformedMessage(
            "attachment-size-repeated",
            f"The attachment {extension.attachment_sizes[repeated].digest} has two sizes.",
            element=nth("Extension/AttachmentSize", repeated),
            mend="Write the size of each content once, also where two attachments share it.",
        )


def _selector_faults(selector: Selector, element: str) -> Iterator[Rejected]:
    if selector.kind is SelectorKind.PREFIX:
        try:
            AgencyCode.parse(selector.value)
        except MalformedCode as error:
            error.element = element
            yield error
    elif not 1 <= len(selector.value) <= _LABEL_CHARACTERS:
        yield MalformedMessage(
            "selector-malformed",
            f"The name of the group has {len(selector.value)} characters.",
            element=element,
            mend=f"Give it 1 to {_LABEL_CHARACTERS}.",
        )


def _recipient_faults(document: Document, extension: Extension) -> Iterator[Rejected]:
    if not document.recipients and not extension.selectors:
        yield MalformedMessage(
            "no-recipient",
            "The document names no recipient: neither a To nor a selector.",
            element="MessageHeader",
            mend="Name at least one agency in To, or select agencies by prefix or group.",
        )
    codes = [recipient.organ_id for recipient in document.recipients]
    if (place := _first_repeated(codes)) is not None:
        yield MalformedMessage(
            "recipient-repeated",
            f"{codes[place]} is named as a recipient twice.",
            element=nth("MessageHeader/To", place) + "/OrganId",
            mend="Name each agency once.",
        )


def _document_faults(document: Document) -> Iterator[Rejected]:
    if len(document.document_id) > _DOCUMENT_ID_CHARACTERS:
        yield MalformedMessage(
            "document-id-too-long",
            f"DocumentId has {len(document.document_id)} characters; {_DOCUMENT_ID_CHARACTERS} are allowed.",
            element="MessageHeader/DocumentId",
            mend="Write code,date,number/notation or a UUID.",
        )
    if not document.trace:
        yield MalformedMessage(
            "trace-missing",
            "The document has no TraceHeader.",
            element="TraceHeaderList",
            mend="Write at least the sender's own, with the time of sending.",
        )
    if document.steering_type not in range(4):
        yield MalformedMessage(
            "steering-type-unknown",
            f"SteeringType is {document.steering_type}.",
            element="MessageHeader/SteeringType",
            mend="Write 0, 1 (not steering), 2 (steering) or 3 (a report on a steering document).",
        )
    numbers = {
        "DocumentType/Type": document.document_type.type,
        "DocumentType/TypeDetail": document.document_type.type_detail,
        "OtherInfo/PromulgationAmount": document.other_info.promulgation_amount,
        "OtherInfo/PageAmount": document.other_info.page_amount,
    }
    for name, number in numbers.items():
        if number is not None and not -_INT <= number < _INT:
            yield MalformedMessage(
                "number-too-large",
                f"{name.rpartition('/')[2]} does not fit 32 bits, which is all that receivers read.",
                element=f"MessageHeader/{name}",
            )


def _attachment_faults(document: Document, extension: Extension) -> Iterator[Rejected]:
    for place, reference in enumerate(document.references):
        if not is_content_id(reference.content_id):
            yield MalformedMessage(
                "content-id-malformed",
                f"{reference.content_id!r} does not name an attachment by its content.",
                element=nth("edXMLManifest/Reference", place) + "/ContentId",
                mend="Write sha256- and the SHA-256 of the attachment's bytes in 64 lower-case hexadecimal digits.",
            )
    sized = {CONTENT_ID_PREFIX + size.digest: place for place, size in enumerate(extension.attachment_sizes)}
    referenced = {reference.content_id: place for place, reference in enumerate(document.references)}
    for content_id, place in referenced.items():
        if content_id not in sized:
            yield MalformedMessage(
                "attachment-size-missing",
                f"The extension says no size for the attachment {document.references[place].attachment_name!r}.",
                element=nth("edXMLManifest/Reference", place),
                mend="Write an AttachmentSize for each content that the manifest names.",
            )
    for content_id, place in sized.items():
        if content_id not in referenced:
            yield MalformedMessage(
                "attachment-size-unmatched",
                f"The extension says the size of {content_id}, which the manifest does not name.",
                element=nth("Extension/AttachmentSize", place),
                mend="Leave the size out, or name the attachment in the manifest.",
            )


def is_content_id(text: str) -> bool:
    """True for `sha256-<64 hex>`, the one form of a content id in an envelope that travels."""
    return text.startswith(CONTENT_ID_PREFIX) and is_sha256_hex(text[len(CONTENT_ID_PREFIX) :])


def _no_digest(text: str, element: str) -> MalformedMessage:
    return MalformedMessage(
        "digest-malformed",
        f"{text!r} is no SHA-256.",
        element=element,
        mend="Write 64 lower-case hexadecimal digits.",
    )


def _first_repeated(values: Iterable[object]) -> int | None:
    """The place of the first value that stood before."""
    seen: set[object] = set()
    for place, value in enumerate(values):
        if value in seen:
            return place
        seen.add(value)
    return None
