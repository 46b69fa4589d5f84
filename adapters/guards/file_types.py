"""The guard `file-types`: which kinds of file may travel, by name and by content."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from typing import Annotated, Final

from pydantic import AfterValidator

from adapters.guards.file_kinds import HEAD, TAIL, Kind, kind_of
from adapters.guards.protocol import (
    Guard,
    GuardContext,
    GuardedAttachment,
    GuardedMessage,
    Passes,
    Refuses,
    Verdict,
)
from adapters.sdk import Health
from runtime.settings import Settings, settings_of

#: What the bytes of a file with this extension may be. Of another extension nothing is known, and any bytes will do
#: but a program's.
_KINDS: Final = {
    "pdf": {Kind.PDF},
    "doc": {Kind.OLE, Kind.RTF},
    "xls": {Kind.OLE},
    "ppt": {Kind.OLE},
    "docx": {Kind.WORD},
    "xlsx": {Kind.EXCEL},
    "pptx": {Kind.POWERPOINT},
    "odt": {Kind.ODT},
    "ods": {Kind.ODS},
    "odp": {Kind.ODP},
    "rtf": {Kind.RTF},
    "txt": {Kind.TEXT, Kind.MARKUP, Kind.EMPTY},
    "csv": {Kind.TEXT, Kind.EMPTY},
    "xml": {Kind.MARKUP},
    "edxml": {Kind.MARKUP},
    "zip": {Kind.ZIP},
    "rar": {Kind.RAR},
    "7z": {Kind.SEVEN_ZIP},
    "jpg": {Kind.JPEG},
    "jpeg": {Kind.JPEG},
    "png": {Kind.PNG},
    "gif": {Kind.GIF},
    "tif": {Kind.TIFF},
    "tiff": {Kind.TIFF},
    "bmp": {Kind.BMP},
    "webp": {Kind.WEBP},
}

#: What a system opens by running it. Before the last extension it is there to deceive: `van-ban.exe.pdf`.
_RUNNING: Final = frozenset(
    [
        "bat",
        "cmd",
        "cpl",
        "dll",
        "exe",
        "hta",
        "jar",
        "js",
        "jse",
        "lnk",
        "msi",
        "pif",
        "ps1",
        "reg",
        "scr",
        "sh",
        "vbe",
        "vbs",
        "wsf",
    ]
)


def _extensions(written: tuple[str, ...]) -> tuple[str, ...]:
    extensions = tuple(each.lower().removeprefix(".") for each in written)
    if not all(each.isalnum() for each in extensions):
        raise ValueError("an extension has letters and digits alone")
    return extensions


class FileTypesSettings(Settings):
    """Which kinds of file may be attached, by the name's extension and by the bytes, which must fit each other."""

    allowed: Annotated[tuple[str, ...], AfterValidator(_extensions)] = tuple(_KINDS)
    """The extensions that may be attached. One that is not in this list by default is taken by its name alone; no file
    is taken that is a program by its bytes."""


async def open_file_types(context: GuardContext) -> Guard:
    """Raises `settings-invalid`."""
    return _FileTypes(settings_of(FileTypesSettings, context.settings, source=f"[guards.{context.name}]"))


class _FileTypes:
    def __init__(self, settings: FileTypesSettings) -> None:
        self._allowed = frozenset(settings.allowed)

    async def judge(self, message: GuardedMessage) -> Verdict:
        for attachment in message.attachments:
            refusal = self._by_name(attachment.name) or await self._by_content(attachment)
            if refusal is not None:
                return refusal
        return Passes()

    def _by_name(self, name: str) -> Refuses | None:
        if any(unicodedata.category(letter) in ("Cc", "Cf") for letter in name):
            return Refuses(
                "file-name-deceives",
                f"Tên tệp có ký tự ẩn. / The file name {name[:120]!r} has characters that nobody sees.",
            )
        _, *extensions = _parts(name)
        hidden = next((each for each in extensions[:-1] if each in _RUNNING), None)
        if hidden is not None:
            return Refuses(
                "file-name-deceives",
                f"Tên tệp có phần mở rộng kép. / The file name {name[:120]!r} hides the extension .{hidden}.",
            )
        extension = extensions[-1] if extensions else ""
        if extension not in self._allowed:
            said = f".{extension}" if extension else "no extension"
            return Refuses(
                "file-type-forbidden",
                f"Loại tệp không được phép. / The file {name[:120]!r} has {said}; allowed are: "
                f"{', '.join(sorted(self._allowed))}.",
            )
        return None

    async def _by_content(self, attachment: GuardedAttachment) -> Refuses | None:
        head = await _bytes(attachment, 0, HEAD)
        is_archive = head.startswith(b"PK")
        tail = await _bytes(attachment, max(0, attachment.size - TAIL), TAIL) if is_archive else b""
        kind = kind_of(head, tail)
        extension = _parts(attachment.name)[-1]
        fitting = _KINDS.get(extension, set(Kind) - {Kind.PROGRAM})
        if kind in fitting:
            return None
        return Refuses(
            "file-type-mismatch",
            f"Nội dung tệp không đúng phần mở rộng. / The file {attachment.name[:120]!r} is {kind} by its content.",
        )

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


def _parts(name: str) -> list[str]:
    """Stem and extensions, in small letters. Windows drops dots and spaces at the end: so does this."""
    return [part.strip().lower() for part in name.rstrip(". ").split(".")]


async def _bytes(attachment: GuardedAttachment, start: int, count: int) -> bytes:
    if attachment.size == 0:
        return b""
    found = bytearray()
    async with attachment.open(start) as chunks:
        async for chunk in _until(chunks, count):
            found += chunk
    return bytes(found[:count])


async def _until(chunks: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    """Chunks until `count` bytes have come: no more of a large file is read."""
    left = count
    async for chunk in chunks:
        yield chunk
        left -= len(chunk)
        if left <= 0:
            return
