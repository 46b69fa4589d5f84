"""One attachment's content as the classic form carries it: base64 of the file itself, or of a ZIP around it.

Which of the two is told by the first bytes. Where the file could itself be a ZIP (`.zip`, `.docx`), the name of the
archive's first entry decides: writers name it `<uuid>.<extension of the file>`, and no office document begins with an
entry named `*.docx`. VNPT's library wraps even a `.zip` when it writes, and takes it as it is when it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from schemas.attachment_sink import AttachmentBudget, AttachmentSink, BoundedSink
from schemas.base64_stream import Base64Decoder
from schemas.errors import MalformedMessage, Rejected
from schemas.limits import Limits
from schemas.zip_records import END_OF_DIRECTORY, LOCAL_HEADER, EntryHeader, damaged, read_local_header
from schemas.zip_stream import SingleEntryZip

#: Extensions of files that are ZIP archives themselves.
_OFFICE = {
    "docx",
    "docm",
    "dotx",
    "xlsx",
    "xlsm",
    "xltx",
    "xlsb",
    "pptx",
    "pptm",
    "potx",
    "ppsx",
    "vsdx",
    "xps",
    "oxps",
}
_OPEN_DOCUMENT = {"odt", "ods", "odp", "odg", "ott", "ots", "epub"}
_CONTAINERS = {"zip", "jar", "war", "apk", "kmz", "asice", "asics", "sce", "bdoc"}
_ZIP_FORMATS = frozenset(_OFFICE | _OPEN_DOCUMENT | _CONTAINERS)
_UUID_ZIP = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\.zip", re.IGNORECASE)


def extension_of(name: str) -> str:
    """What stands after the last dot, in lower case; nothing where there is no dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def wraps(entry_name: str, attachment_name: str) -> bool:
    """True if a ZIP that begins with `entry_name` is the wrapping of `attachment_name`, rather than the file itself."""
    extension = extension_of(attachment_name)
    if extension == "zip":
        # A writer that wraps every file wraps archives too; an archive of a clerk has no such entry.
        return _UUID_ZIP.fullmatch(entry_name) is not None
    if extension in _ZIP_FORMATS:
        return extension_of(entry_name) == extension
    return True


def is_wrapping_of_archive(data: bytes) -> bool:
    """True if `data` begins a ZIP that a reader takes for the wrapping of an archive, even where it is the file itself.

    `data` holds at least the first header, so at most 128 KiB are needed.
    """
    header = read_local_header(data) if data.startswith(LOCAL_HEADER) else None
    return header is not None and _UUID_ZIP.fullmatch(header.text_name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledContent:
    """What came of a content. `entry_name` is the entry's name in the ZIP around it, None where there was no ZIP."""

    size: int
    entry_name: str | None
    unpadded: bool

    @property
    def wrapped(self) -> bool:
        return self.entry_name is not None


class AttachmentContent:
    """Decodes one content that comes in pieces; at most the header of a ZIP entry is held.

    `name` is None where the content stands before its AttachmentName. Then, and for a `.zip` that could be either, both
    readings are pursued, each into a sink of its own, and `settle` discards one.
    """

    def __init__(
        self, name: str | None, open_sink: Callable[[], AttachmentSink], limits: Limits, budget: AttachmentBudget
    ) -> None:
        self._name = name
        self._open_sink = open_sink
        self._limits = limits
        self._budget = budget
        self._base64 = Base64Decoder()
        self._head = b""
        self._begun = False
        self._plain: BoundedSink | None = None
        self._unwrapped: BoundedSink | None = None
        self._archive: SingleEntryZip | None = None
        self._entry_name: str | None = None
        # Why the content is no ZIP around one file, while it may still be the file itself.
        self._fault: Rejected | None = None

    def feed(self, text: str, line: int) -> None:
        """Take the next piece of the base64 text, which begins in `line`.

        Raises:
            MalformedMessage: damaged base64, or a damaged or unusual ZIP.
            LimitExceeded: the content is larger than allowed, or a bomb.
        """
        self._take(self._base64.decode(text, line))

    def finish(self, line: int) -> None:
        """Say that the base64 text has ended, in `line`.

        Raises:
            MalformedMessage: damaged base64, or a damaged ZIP.
        """
        self._take(self._base64.finish(line))
        if not self._begun:
            self._begin(None)
        if self._archive is not None:
            self._attempt(self._archive.finish)

    def settle(self, name: str) -> SettledContent:
        """Close the sink that holds the attachment, now that its name is known.

        Raises:
            MalformedMessage: by its name it must be a ZIP around one file, and it is not.
        """
        is_archive = extension_of(name) in _ZIP_FORMATS
        if not is_archive and self._fault is not None:
            raise self._fault
        if not is_archive and self._head.startswith(END_OF_DIRECTORY):
            raise MalformedMessage(
                "zip-without-entry",
                "The ZIP around the attachment is empty.",
                mend="Put the file into the ZIP, or send its bytes without one.",
            )
        wrapped = self._entry_name is not None and self._fault is None and wraps(self._entry_name, name)
        sound = self._unwrapped if wrapped else self._plain
        if sound is None:
            raise ValueError(f"the content was begun as that of another name than {name!r}")
        void = self._plain if wrapped else self._unwrapped
        self._plain = self._unwrapped = None
        if void is not None:
            void.discard()
        sound.close()
        return SettledContent(
            size=sound.size, entry_name=self._entry_name if wrapped else None, unpadded=self._base64.unpadded
        )

    def discard(self) -> None:
        """Void what the sinks got."""
        for sink in (self._plain, self._unwrapped):
            if sink is not None:
                sink.discard()
        self._plain = self._unwrapped = None

    def _take(self, data: bytes) -> None:
        if self._begun:
            self._pass_on(data)
            return
        self._head += data
        if len(self._head) < len(LOCAL_HEADER):
            return
        header = read_local_header(self._head) if self._head.startswith(LOCAL_HEADER) else None
        if header is not None or not self._head.startswith(LOCAL_HEADER):
            self._begin(header)

    def _begin(self, header: EntryHeader | None) -> None:
        """Choose how to read, by the first bytes; `header` is that of the ZIP entry that the content begins with."""
        self._begun = True
        head, self._head = self._head, self._head[: len(LOCAL_HEADER)]
        name = self._name
        may_be_wrapped = header is not None and (name is None or wraps(header.text_name, name))
        if not may_be_wrapped or name is None or extension_of(name) == "zip":
            self._plain = BoundedSink(self._open_sink(), self._limits, self._budget)
            self._plain.write(head)
        if header is None and head.startswith(LOCAL_HEADER):
            self._fault = damaged("it breaks off inside its first header")
        if header is not None and may_be_wrapped:
            self._entry_name = header.text_name
            self._attempt(lambda: self._open_archive(header, head[header.length :]))

    def _open_archive(self, header: EntryHeader, rest: bytes) -> None:
        self._unwrapped = BoundedSink(self._open_sink(), self._limits, self._budget)
        self._archive = SingleEntryZip(header, self._unwrapped.write, self._limits)
        self._archive.feed(rest)

    def _pass_on(self, data: bytes) -> None:
        if self._plain is not None:
            self._plain.write(data)
        if (archive := self._archive) is not None:
            self._attempt(lambda: archive.feed(data))

    def _attempt(self, step: Callable[[], None]) -> None:
        """Take a step of unwrapping; what goes wrong is an error at once only where there is no other reading."""
        try:
            step()
        except Rejected as fault:
            if self._plain is None:
                raise
            self._fault = fault
            self._archive = None
            if self._unwrapped is not None:
                self._unwrapped.discard()
                self._unwrapped = None
