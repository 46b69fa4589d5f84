"""Putting an item of out/ away: to sent/ with a note that names its message, to failed/ with the reason."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath

from adapters.filedrop.folders import DropFolders
from runtime.files import storage_errors, sync_folder
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import CongvanError
from schemas.findings import Finding
from schemas.names import safe_name
from schemas.times import VIETNAM

#: A name and the ending of its note together stay below the 255 bytes of a file name.
_NAME_BYTES = 200
_RECEIPT_ENDING = ".receipt.json"
_ERROR_ENDING = ".error.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentNote:
    """What the note beside a sent item says.

    `recipients` are codes and selectors as people write them, `key` is the item's digest, `repeated` that it had been
    sent before.
    """

    message_id: Sha256Hex
    key: Sha256Hex
    repeated: bool
    sender: AgencyCode
    recipients: Sequence[str]
    document_id: str | None
    subject: str | None
    sent_at: datetime
    warnings: Sequence[Finding]

    def encode(self) -> bytes:
        note = {
            "message_id": self.message_id,
            "key": self.key,
            "repeated": self.repeated,
            "from": self.sender.value,
            "to": list(self.recipients),
            "document_id": self.document_id,
            "subject": self.subject,
            "sent_at": self.sent_at.astimezone(VIETNAM).isoformat(timespec="seconds"),
            "warnings": [str(finding) for finding in self.warnings],
        }
        return (json.dumps(note, ensure_ascii=False, indent=2) + "\n").encode()


def file_sent(item: Path, note: SentNote, folders: DropFolders) -> Path:
    """Move `item` to sent/ under the day of `note`, the note beside it; gives the item's new path.

    The note is written first: a crash in between leaves the item in out/, where its digest leads to the same
    message and the same name here.
    """
    day = folders.sent / note.sent_at.astimezone(VIETNAM).strftime("%Y-%m-%d")
    folders.make(day)
    target = _free_name(day, item.name, note.key, _RECEIPT_ENDING, f'"key": "{note.key}"'.encode())
    _write_note(Path(f"{target}{_RECEIPT_ENDING}"), note.encode(), folders)
    return _move(item, target)


def file_failed(item: Path, error: CongvanError, at: datetime, folders: DropFolders) -> Path:
    """Move `item` to failed/, the reason beside it; gives the item's new path."""
    reason = _reason(item.name, error, at).encode()
    mark = at.astimezone(VIETNAM).strftime("%Y%m%d-%H%M%S")
    target = _free_name(folders.failed, item.name, mark, _ERROR_ENDING, reason)
    _write_note(Path(f"{target}{_ERROR_ENDING}"), reason, folders)
    return _move(item, target)


def _write_note(path: Path, content: bytes, folders: DropFolders) -> None:
    """Write the note by one rename, from a name that the next try uses again: a crash leaves nothing for good."""
    temporary = path.with_name(f".{path.name}")
    with storage_errors(path):
        temporary.unlink(missing_ok=True)
        with os.fdopen(folders.create(temporary), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def _free_name(folder: Path, name: str, mark: str, ending: str, own: bytes) -> Path:
    """A path in `folder` near to `name`, free for the item and, with `ending`, for its note.

    It is told apart by `mark` where something stands. A note that holds `own` is this item's, from a try cut short.
    """
    cut = PurePath(_cut(safe_name(name, ())))
    candidates = [cut.name, f"{cut.stem}~{mark[:16]}{cut.suffix}"]
    number = 1
    with storage_errors(folder):
        while True:
            for candidate in candidates:
                path = folder / candidate
                if not os.path.lexists(path) and _is_free_for_note(Path(f"{path}{ending}"), own):
                    return path
            number += 1
            candidates = [f"{cut.stem}~{mark[:16]}-{number}{cut.suffix}"]


def _is_free_for_note(path: Path, own: bytes) -> bool:
    """Whether nothing stands at `path`, or the note of the same item: another item's stays as it is."""
    try:
        return own in path.read_bytes()
    except FileNotFoundError:
        return True
    except OSError:
        # A folder, or a file that cannot be read: somebody's, and in the way.
        return False


def _cut(name: str) -> str:
    extension = PurePath(name).suffix
    stem = name.removesuffix(extension).encode()[: _NAME_BYTES - len(extension.encode())]
    return stem.decode(errors="ignore") + extension


def _move(item: Path, target: Path) -> Path:
    with storage_errors(item):
        try:
            item.rename(target)
        except OSError:
            # A server that did it may answer an error all the same: its first answer was lost, and it was asked again.
            if os.path.lexists(item) or not os.path.lexists(target):
                raise
        sync_folder(target.parent)
        sync_folder(item.parent)
    return target


def _reason(name: str, error: CongvanError, at: datetime) -> str:
    place = ":".join(str(part) for part in (error.source, error.line) if part is not None)
    lines = [
        ("Tệp / Item", name.encode(errors="replace").decode()),
        ("Lý do / Reason", error.message),
        ("Quy tắc / Rule", error.code),
        ("Phần tử / Element", error.element),
        ("Vị trí (tệp:dòng) / Place (file:line)", place),
        ("Cách sửa / Mend", error.mend),
        ("Thời điểm / Time", at.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S (Asia/Ho_Chi_Minh)")),
    ]
    shown = [f"{heading}: {text}" for heading, text in lines if text]
    return "\n".join(
        [
            "KHÔNG GỬI ĐƯỢC / NOT SENT",
            "",
            *shown,
            "",
            "Sửa xong, chuyển lại vào thư mục out/. / Once mended, move it back to out/.",
            "",
        ]
    )
