"""An edXML file for people: its main facts, its attachments, what is odd about it, and its seal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from rich.markup import escape

from congvan.envelope_files import EdxmlFile
from congvan.envelope_seals import SealFacts
from runtime.terminal import local_time, say, show_table
from schemas.findings import Finding
from schemas.message import BusinessType, Document, Message, Organ, Priority, ResponseFor, StatusCode, StatusMessage

_PRIORITIES = {
    Priority.NORMAL: "thường (normal)",
    Priority.URGENT: "khẩn (urgent)",
    Priority.VERY_URGENT: "thượng khẩn (very urgent)",
    Priority.EXPRESS: "hỏa tốc (express)",
    Priority.EXPRESS_APPOINTED: "hỏa tốc hẹn giờ (express, at an appointed hour)",
}
_BUSINESS = {
    BusinessType.NEW: "a new document",
    BusinessType.RECALL: "a recall",
    BusinessType.UPDATE: "an update",
    BusinessType.REPLACE: "a replacement",
}
_STATUSES = {
    StatusCode.ARRIVED: "arrived",
    StatusCode.REFUSED: "refused",
    StatusCode.ACCEPTED: "accepted",
    StatusCode.ASSIGNED: "assigned",
    StatusCode.PROCESSING: "in processing",
    StatusCode.FINISHED: "finished",
    StatusCode.TAKEN_BACK: "taken back by its sender",
    StatusCode.REQUEST_AGREED: "recall or update agreed to",
    StatusCode.REQUEST_REFUSED: "recall or update refused",
}
#: Recipients beyond these are counted: a circular goes to thousands.
_RECIPIENTS_SHOWN = 20


def show_file(file: EdxmlFile, seal: SealFacts | None) -> None:
    kind = "Document" if isinstance(file.message, Document) else "Status message"
    form = "that travels" if file.travelling else "of the classic form"
    show_table(f"{kind} {form}: {file.path}", ("", ""), _visible_rows(_facts(file.message)))
    # Lines and no table: a digest must not be cut off on a terminal of 80 columns.
    for number, attachment in enumerate(file.attachments, 1):
        name, kind = escape(visible(attachment.name)), escape(visible(attachment.content_type))
        say(f"Attachment {number}: [bold]{name}[/bold], {kind}, {attachment.size:,} bytes")
        say(f"  SHA-256 {attachment.digest}")
    if file.travelling:
        show_seal(seal)
    show_findings(file.findings)


def show_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        mark = "[red]strict receivers refuse or misread[/red]" if finding.strict_refuses else "[yellow]note[/yellow]"
        say(f"{mark}: {escape(visible(str(finding)))}")


def show_seal(seal: SealFacts | None) -> None:
    if seal is None:
        say("[yellow]It is not sealed.[/yellow]")
        return
    if seal.fault is not None:
        say(f"[red]The seal does not hold:[/red] {escape(visible(seal.fault))}")
        return
    if seal.signer is not None and seal.signed_at is not None:
        signer = escape(visible(seal.signer.subject.rfc4514_string()))
        say(f"Sealed by {signer} on {local_time(seal.signed_at)}; message id {seal.message_id}.")
    if seal.verified:
        say("[green]The seal is verified.[/green]")
    else:
        say("[yellow]The seal is not verified:[/yellow] nobody said whom to trust. Give --anchor PEM.")


def visible(text: str) -> str:
    """`text` without what would command a terminal or turn the direction of writing."""
    return "".join(
        letter if letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cf", "Co", "Cs") else "\ufffd"
        for letter in text
    )


def _visible_rows(rows: Iterable[Sequence[object]]) -> Iterator[list[str]]:
    return ([visible(str(cell)) if cell is not None else "–" for cell in row] for row in rows)


def _facts(message: Message) -> Iterator[tuple[str, object]]:
    if isinstance(message, StatusMessage):
        yield from _status_facts(message)
        return
    yield "From", _named(message.sender)
    for recipient in message.recipients[:_RECIPIENTS_SHOWN]:
        yield "To", _named(recipient)
    if len(message.recipients) > _RECIPIENTS_SHOWN:
        yield "To", f"… and {len(message.recipients) - _RECIPIENTS_SHOWN} more"
    yield "DocumentId", message.document_id
    yield "Code", f"{message.code.number}/{message.code.notation}"
    yield "Promulgation", f"{message.promulgation.place}, {message.promulgation.date.text}"
    yield "Type", message.document_type.type_name
    yield "Subject", message.subject
    yield "Content", message.content
    yield "Signer", ", ".join(filter(None, (message.signer.full_name, message.signer.position)))
    yield "Priority", _PRIORITIES[message.priority]
    if message.due_date:
        yield "Due", message.due_date.text
    yield "It is", _BUSINESS[message.business_type]
    if message.business and message.business.type is not BusinessType.NEW:
        yield "Of", message.business.document_id
        yield "Because", message.business.reason
    for answered in message.response_for:
        yield "Response for", _answered(answered)


def _status_facts(status: StatusMessage) -> Iterator[tuple[str, object]]:
    yield "From", _named(status.sender)
    yield "Response for", _answered(status.response_for)
    yield "Status", f"{status.status_code.value}: {_STATUSES[status.status_code]}"
    yield "Description", status.description
    if status.staff and status.staff.staff:
        yield "Staff", status.staff.staff
    yield "At", status.timestamp.text


def _named(organ: Organ) -> str:
    return f"{organ.organ_id.value} {organ.organ_name}" if organ.organ_name else organ.organ_id.value


def _answered(answered: ResponseFor) -> str:
    return answered.document_id or answered.code or "–"
