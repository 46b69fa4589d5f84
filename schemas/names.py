"""Names of attachments made safe to be file names: whoever wrote them has no say over our folders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

#: Most file systems bound a name at 255 bytes.
MAX_BYTES = 255
#: An extension longer than this is part of the name rather than a type.
_MAX_EXTENSION_BYTES = 32
_NAMELESS = "attachment"

# Separators of any system, and what Windows forbids.
_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
# Control characters, format characters (they reverse or hide text: `exe.fdp` shown as `pdf.exe`), surrogates, private
# and unassigned code points, line and paragraph separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Device names of Windows, alone or before any extension (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM[0-9¹²³]|LPT[0-9¹²³])", re.IGNORECASE)


def safe_name(name: str, taken: Collection[str]) -> str:
    """A file name close to `name` that no file system can take for anything but a plain name in one folder.

    It has no separator and no control, invisible or direction-changing character, is no device of Windows, neither
    begins nor ends with a dot or a blank, is in NFC, and has at most 255 bytes of UTF-8, its extension kept. It differs
    from every name in `taken` even where letters differ only in case; ` (2)`, ` (3)` and so on are put before the
    extension where needed.
    """
    text = " ".join(unicodedata.normalize("NFC", name).split())
    text = "".join(letter for letter in text if unicodedata.category(letter) not in _INVISIBLE)
    text = unicodedata.normalize("NFC", _FORBIDDEN.sub("_", text).strip(". "))
    stem, extension = _split(text)
    if _DEVICES.fullmatch(stem.partition(".")[0].rstrip()):
        stem = f"_{stem}"
    folded = {_fold(other) for other in taken}
    number = 1
    while True:
        suffix = extension if number == 1 else f" ({number}){extension}"
        candidate = _shortened(stem or _NAMELESS, MAX_BYTES - len(suffix.encode())) + suffix
        if _fold(candidate) not in folded:
            return candidate
        number += 1


def _split(text: str) -> tuple[str, str]:
    stem, dot, extension = text.rpartition(".")
    if not dot or not stem or len(extension.encode()) > _MAX_EXTENSION_BYTES:
        return text, ""
    return stem.rstrip(". "), dot + extension.strip()


def _shortened(stem: str, most: int) -> str:
    """The longest beginning of `stem` that fits in `most` bytes of UTF-8, no letter cut in half."""
    return stem.encode()[:most].decode(errors="ignore").rstrip(". ")


def _fold(name: str) -> str:
    # As a file system that ignores case compares, and macOS, which compares decomposed forms.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
