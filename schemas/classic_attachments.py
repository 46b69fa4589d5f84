"""What a classic file says about its attachments, and whether a strict receiver would get the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.attachment_content import SettledContent
from schemas.classic_elements import ClassicElement, Findings
from schemas.classic_fields import ClassicFields
from schemas.classic_target import ReadAttachment
from schemas.classic_values import content_id_of
from schemas.message import Reference

_ATTACHMENT = ("ContentId", "AttachmentName", "Description", "ContentType", "ContentTransferEncoded")
_ZIP = "application/zip"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicAttachment:
    """One attachment of a classic file.

    `index` counts from 0 and is what its sink was opened with; `content_id` is without `cid:`; `name`, `description`
    and `content_type` are what the Attachment element says (`application/zip` for most contents `wrapped` in a ZIP),
    the name that of the manifest where it says none. `size` is that of the unwrapped bytes.
    """

    index: int
    content_id: str
    name: str
    description: str
    content_type: str
    wrapped: bool
    size: int


def attachments_of(
    read: Sequence[ReadAttachment], references: Sequence[Reference], findings: Findings
) -> tuple[ClassicAttachment, ...]:
    """The attachments that were read, compared with the manifest and with what the axis' reading library does.

    Raises:
        MalformedMessage: an element of an attachment stands twice or holds markup.
    """
    attachments = tuple(_attachment(index, one, references, findings) for index, one in enumerate(read))
    _compare_with_manifest(attachments, references, findings)
    _note_shared_entry_names(read, findings)
    return attachments


def _attachment(
    index: int, read: ReadAttachment, references: Sequence[Reference], findings: Findings
) -> ClassicAttachment:
    fields = ClassicFields(read.element, _ATTACHMENT, findings)
    content_id = content_id_of(fields.expected_text("ContentId").strip())
    name = fields.text("AttachmentName")
    if name is None:
        name = next((one.attachment_name for one in references if content_id and one.content_id == content_id), "")
        fields.note(
            "AttachmentName", "element-missing", f"The attachment has no AttachmentName; it is called {name!r}."
        )
    attachment = ClassicAttachment(
        index=index,
        content_id=content_id,
        name=name,
        description=fields.expected_text("Description"),
        content_type=fields.expected_text("ContentType"),
        wrapped=read.content.wrapped,
        size=read.content.size,
    )
    _note_misreading(attachment, read.content, read.element, findings)
    return attachment


def _note_misreading(
    attachment: ClassicAttachment, content: SettledContent, element: ClassicElement, findings: Findings
) -> None:
    """The library unwraps where ContentType is `application/zip` or missing and the name does not end in `.zip`."""
    unwraps = attachment.content_type in (_ZIP, "") and not attachment.name.endswith(".zip")
    if unwraps and not attachment.wrapped:
        findings.add(
            "content-not-wrapped",
            f"The content of {attachment.name!r} is not wrapped in a ZIP, which strict receivers expect.",
            element,
            strict_refuses=True,
        )
    if attachment.wrapped and not unwraps:
        findings.add(
            "content-wrapped",
            f"The content of {attachment.name!r} is wrapped in a ZIP that strict receivers hand on as it is.",
            element,
            strict_refuses=True,
        )
    if content.unpadded:
        findings.add("base64-unpadded", "The base64 text lacks the `=` at its end.", element)


def _compare_with_manifest(
    attachments: Sequence[ClassicAttachment], references: Sequence[Reference], findings: Findings
) -> None:
    named = Counter(reference.content_id for reference in references)
    brought = Counter(attachment.content_id for attachment in attachments)
    for reference in references:
        if reference.content_id not in brought:
            findings.add(
                "attachment-missing",
                f"The manifest names {reference.attachment_name!r} ({reference.content_id}), which is not in the file.",
            )
    for attachment in attachments:
        if attachment.content_id not in named:
            findings.add(
                "attachment-not-in-manifest",
                f"The file holds {attachment.name!r} ({attachment.content_id}), which is not in the manifest.",
            )


def _note_shared_entry_names(read: Sequence[ReadAttachment], findings: Findings) -> None:
    seen: set[str] = set()
    for one in read:
        name = one.content.entry_name
        if name is None:
            continue
        if name in seen:
            findings.add(
                "entry-name-repeated",
                f"Two attachments have a ZIP entry named {name!r}; strict receivers overwrite one with the other.",
                one.element,
                strict_refuses=True,
            )
        seen.add(name)
