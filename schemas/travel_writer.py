"""An envelope's values to the bytes that are sealed: the canonical travelling form.

The bytes are exclusive C14N already (QCVN as default namespace on the root, `edXML:` from edXMLEnvelope down, no
declaration, no white space between elements, no empty-element tags), so that one envelope has one form. Markup is
written as text: a tree built in lxml first takes three times as long.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.envelope import Envelope, Extension, Override
from schemas.instants import instant_text
from schemas.markup import encoded, escaped
from schemas.message_markup import OPENING, message_body, message_header
from schemas.namespaces import EXTENSION
from schemas.travel_rules import check_envelope


def write_envelope(envelope: Envelope) -> bytes:
    """The unsigned envelope, UTF-8; equal envelopes give equal bytes.

    Raises:
        MalformedMessage: a rule of `schemas.travel_rules` does not hold.
        Rejected: `text-not-carried`: a text holds a character that XML cannot carry unchanged.
    """
    check_envelope(envelope)
    message = envelope.message
    header = message_header(message) + _extension(envelope.extension)
    return encoded(f"{OPENING}{header}</edXML:edXMLHeader>{message_body(message)}</edXML:edXMLEnvelope></edXML>")


def _extension(extension: Extension) -> str:
    # Digests and kinds are checked to be plain by now; labels are escaped.
    return "".join(
        (
            f'<cv:Extension xmlns:cv="{EXTENSION}">',
            f"<cv:SubmissionId>{escaped(extension.submission_id)}</cv:SubmissionId>",
            *(f"<cv:About>{digest}</cv:About>" for digest in extension.about),
            *(
                f'<cv:Selector kind="{selector.kind}">{escaped(selector.value)}</cv:Selector>'
                for selector in extension.selectors
            ),
            f"<cv:Secrecy>{extension.secrecy}</cv:Secrecy>" if extension.secrecy else "",
            *_override(extension.override),
            f"<cv:ExpiresAt>{instant_text(extension.expires_at)}</cv:ExpiresAt>" if extension.expires_at else "",
            *(
                f'<cv:AttachmentSize digest="{attachment.digest}">{attachment.size}</cv:AttachmentSize>'
                for attachment in extension.attachment_sizes
            ),
            "</cv:Extension>",
        )
    )


def _override(override: Override | None) -> Iterator[str]:
    if override is not None:
        by, reason = escaped(override.by), escaped(override.reason)
        yield f"<cv:Override><cv:By>{by}</cv:By><cv:Reason>{reason}</cv:Reason></cv:Override>"
