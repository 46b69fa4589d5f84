"""The content type of a file by its extension, the same on every machine."""

from __future__ import annotations

import mimetypes

#: What is said of a file whose extension tells nothing.
UNKNOWN = "application/octet-stream"

# Only the table that comes with Python: what a machine's own mime.types adds would make one file two messages.
_TYPES = mimetypes.MimeTypes()
for _type, _extension in (
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", ".pptx"),
    ("application/vnd.rar", ".rar"),
    ("application/x-7z-compressed", ".7z"),
):
    _TYPES.add_type(_type, _extension)


def content_type_of(name: str) -> str:
    """The media type that the extension of `name` stands for; `application/octet-stream` if it stands for none."""
    guessed, encoding = _TYPES.guess_type(name, strict=False)
    # `a.csv.gz` is a gzip file: its own type is not that of what is inside.
    return guessed if guessed and not encoding else UNKNOWN
