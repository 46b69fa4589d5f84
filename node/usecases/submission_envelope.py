"""The envelope of a part of a submission: everything in it comes from the submission and from the key's row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from adapters.sdk import Submission
from node.usecases.attachments import KeptAttachment
from node.usecases.parts import Part
from schemas.envelope import CONTENT_ID_PREFIX, AttachmentSize, Envelope, Extension
from schemas.message import Document, Reference, TraceHeader
from schemas.times import TimestampText


def envelope_of(submission: Submission, part: Part, kept: Sequence[KeptAttachment], created_at: datetime) -> Envelope:
    """What is sealed: the part's message, with the attachments that it reuses, or that the node has as `kept`."""
    message = part.message
    sizes = {bytes_kept.digest: bytes_kept.size for bytes_kept in kept}
    if isinstance(message, Document):
        own_trace = TraceHeader(organ_id=message.sender.organ_id, timestamp=TimestampText.of(created_at))
        message = replace(message, trace=message.trace or (own_trace,))
    if part.reused is not None:
        sizes = {each.digest: each.size for each in part.reused.sizes}
    elif isinstance(message, Document):
        references = tuple(
            Reference(
                content_id=CONTENT_ID_PREFIX + bytes_kept.digest,
                content_type=attachment.content_type,
                attachment_name=attachment.name,
                description=attachment.description,
            )
            for attachment, bytes_kept in zip(submission.attachments, kept, strict=True)
        )
        message = replace(message, references=references)
    extension = Extension(
        submission_id=part.submission_id,
        about=part.about,
        override=submission.override,
        expires_at=submission.expires_at,
        selectors=part.selectors,
        attachment_sizes=tuple(AttachmentSize(digest, size) for digest, size in sizes.items()),
    )
    return Envelope(message, extension)
