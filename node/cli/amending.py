"""`congvan node recall`, `update` and `replace`: what a sender does to a document that is out already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from adapters.composing import parse_metadata
from adapters.content_types import content_type_of
from adapters.sdk import OutgoingAttachment, Submitted
from adapters.spool import CHUNK
from node.cli.options import Dir, Json, OverrideBy, OverrideReason, override_of, wake_daemon, with_node
from node.cli.orders import code_of
from node.cli.showing import short
from node.foundation import Foundation
from node.store.records import CompanionRow
from node.usecases.amendments import Amendments, Change
from runtime.files import storage_errors
from runtime.terminal import say, show_json
from schemas.codes import AgencyCode
from schemas.envelope import Override
from schemas.errors import Rejected

DocumentName: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="DOC", help="The document: its message id, 8 digits of it or more, or DocumentId."),
]
Reason: TypeAlias = Annotated[str, typer.Option(help="Why (lý do); the recipients read it.")]
Key: TypeAlias = Annotated[
    str | None, typer.Option(help="Your own key for this order: the same key carries it out once, however often given.")
]
Meta: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Metadata in TOML or JSON: what it says otherwise.")
]
Subject: TypeAlias = Annotated[str | None, typer.Option(help="What it is about now (trích yếu).")]
Due: TypeAlias = Annotated[str | None, typer.Option(help="The deadline now, 2026-12-01.")]
Codes: TypeAlias = list[str] | None


def recall(
    document: DocumentName,
    *,
    reason: Reason,
    to: Annotated[
        Codes, typer.Option("--to", metavar="CODE", help="Only from these recipients; all who have it, if not given.")
    ] = None,
    key: Key = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Take a document back (thu hồi): its recipients are asked, and answer with status 15 or 16.

    Example: [bold]congvan node recall 3fa2b1c0 --reason 'Ban hành nhầm'[/bold]
    """
    change = Change(reason=_reason(reason), key=_key(key))
    chosen = _codes("--to", to)
    _order(folder, lambda amendments: amendments.recall(document, change, to=chosen), as_json=as_json)


def update(
    document: DocumentName,
    *,
    reason: Reason,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file", metavar="FILE", help="A file in the place of those there were; several: --file A --file B."
        ),
    ] = None,
    meta: Meta = None,
    subject: Subject = None,
    due: Due = None,
    override: OverrideReason = None,
    override_by: OverrideBy = None,
    add: Annotated[Codes, typer.Option("--add", metavar="CODE", help="A receiver who gets the document now.")] = None,
    remove: Annotated[
        Codes, typer.Option("--remove", metavar="CODE", help="A receiver from whom the document is recalled.")
    ] = None,
    key: Key = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Update a document (cập nhật): what it says, who receives it, or both.

    Those who have it get the update and answer with status 15 or 16; those added get the document as it is now; those
    removed get a recall.

    Examples:

    [bold]congvan node update 3fa2b1c0 --reason 'Gia hạn' --due 2026-12-15[/bold]

    [bold]congvan node update 3fa2b1c0 --reason 'Bổ sung nơi nhận' --add H31 --remove H29[/bold]
    """
    change = _change(
        reason,
        files or (),
        meta,
        {"subject": subject, "due_date": due},
        key=key,
        override=override_of(override, override_by),
    )
    added, removed = _codes("--add", add) or (), _codes("--remove", remove) or ()
    _order(folder, lambda amendments: amendments.update(document, change, add=added, remove=removed), as_json=as_json)


def replace(
    documents: Annotated[
        list[str],
        typer.Argument(metavar="DOC", help="The documents replaced: message ids, 8 digits of them, or DocumentIds."),
    ],
    *,
    reason: Reason,
    files: Annotated[
        list[Path], typer.Option("--file", metavar="FILE", help="The new document; several: --file A --file B.")
    ],
    to: Annotated[
        Codes,
        typer.Option("--to", metavar="CODE", help="Its recipients; all who have one of the others, if not given."),
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="Its number and notation, 6102/VPCP-KSTT; those of the first, if not given.")
    ] = None,
    meta: Meta = None,
    subject: Subject = None,
    due: Due = None,
    override: OverrideReason = None,
    override_by: OverrideBy = None,
    key: Key = None,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Replace documents by a new one (thay thế). What the options do not say is taken from the first of them.

    Example: [bold]congvan node replace 3fa2b1c0 --file moi.pdf --number 6102/VPCP-KSTT --reason 'Sửa phụ lục'[/bold]
    """
    options = {"subject": subject, "due_date": due, "code": code_of(number, None)}
    change = _change(reason, files, meta, options, key=key, override=override_of(override, override_by))
    chosen = _codes("--to", to)
    _order(folder, lambda amendments: amendments.replace(documents, change, to=chosen), as_json=as_json)


def _order(folder: Path, order: Callable[[Amendments], Awaitable[Submitted]], *, as_json: bool) -> None:
    async def carry_out(node: Foundation) -> tuple[Submitted, tuple[CompanionRow, ...], bool]:
        submitted = await order(node.amendments)
        row = (await node.queries.story(submitted.message_id)).outbox
        return submitted, row.companions if row else (), wake_daemon(node)

    submitted, together, is_running = with_node(folder, carry_out)
    others = [one for one in together if one.message_id != submitted.message_id]
    if as_json:
        show_json(
            {
                "message_id": submitted.message_id,
                "repeated": submitted.repeated,
                "companions": [{"message_id": one.message_id, "role": one.role} for one in others],
                "daemon_running": is_running,
            }
        )
        return
    known = "was in the outbox already" if submitted.repeated else "is in the outbox"
    say(f"[green]Message {submitted.message_id} {known}.[/green]")
    for one in others:
        say(f"With it: {one.message_id} ({one.role})")
    if not is_running:
        say("No daemon is running here: `congvan node serve` sends it.")
    say(f"Who has answered: congvan node show {short(submitted.message_id)}")


def _change(
    reason: str,
    files: Sequence[Path],
    meta: Path | None,
    options: Mapping[str, object],
    *,
    key: str | None,
    override: Override | None,
) -> Change:
    metadata: dict[str, object] = {}
    if meta is not None:
        with storage_errors(meta):
            metadata |= parse_metadata(meta.name, meta.read_bytes())
    metadata |= {name: value for name, value in options.items() if value is not None}
    for path in files:
        if not path.is_file():
            raise Rejected("file-missing", f"{path}: there is no such file.", mend="Check the path.")
    attachments = [
        OutgoingAttachment(name=path.name, content_type=content_type_of(path.name), description=path.name, path=path)
        for path in files
    ]
    said = [sorted((name, repr(value)) for name, value in metadata.items()), [_digest(path) for path in files]]
    return Change(
        reason=_reason(reason),
        metadata=metadata,
        attachments=attachments,
        key=_key(key),
        fingerprint=hashlib.sha256(json.dumps(said).encode()).hexdigest(),
        override=override,
    )


def _digest(path: Path) -> tuple[str, str]:
    digest = hashlib.sha256()
    with storage_errors(path), path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return path.name, digest.hexdigest()


def _reason(text: str) -> str:
    if not text.strip():
        raise Rejected("reason-missing", "--reason is empty.", mend="Say why: the recipients read it.")
    return text.strip()


def _key(key: str | None) -> str | None:
    if key is not None and not key.strip():
        raise Rejected("option-missing", "--key is empty.", mend="Give the key, or leave --key out.")
    return key


def _codes(option: str, words: Sequence[str] | None) -> list[AgencyCode] | None:
    """Codes as given: one an option, or several with commas between; None if `option` was not given.

    An empty word is an error: a script whose variable was empty must not mean everybody.
    """
    if not words:
        return None
    codes = [code.strip() for word in words for code in word.split(",")]
    if not all(codes):
        raise Rejected(
            "option-missing",
            f"{option} {','.join(words)!r} has an empty place where a code is to stand.",
            element=option,
            mend=f"Give each agency's code, as in {option} H23,H31; or leave {option} out.",
        )
    return [AgencyCode.parse(code) for code in codes]
