"""Base64 in pieces: what a peer wrote becomes bytes as it arrives, and nothing is skipped in silence.

`binascii` works in C; its lenient mode, like that of many readers, drops what it does not know, so that a damaged file
comes out shorter. Here a character that is no base64 is an error with its line.
"""

from __future__ import annotations

import binascii
import re

from schemas.errors import MalformedMessage

# The URL-safe alphabet (RFC 4648, section 5) is read as the standard one; XML's white space is dropped.
_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE = b" \t\r\n"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_FOREIGN = re.compile(r"[^A-Za-z0-9+/=_\s-]|[^\S \t\r\n]", re.ASCII)


class Base64Decoder:
    """Decodes one base64 text given in pieces of any size. Memory: a few times the largest piece.

    `unpadded` is True after `finish` if the text lacked its closing `=`.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._padding = 0
        self.unpadded = False

    def decode(self, text: str, line: int) -> bytes:
        """The bytes that are certain after this piece, which begins in `line`.

        Raises:
            MalformedMessage: `base64-damaged`, with the line of the first character that does not belong.
        """
        try:
            data = self._rest + text.encode("ascii").translate(_STANDARD, _WHITE_SPACE)
        except UnicodeEncodeError as error:
            raise _foreign(text, line) from error
        if self._padding or b"=" in data:
            data = self._take_padding(data, text, line)
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        # What is carried over is judged now, while the line is known.
        if self._rest.translate(None, _ALPHABET):
            raise _foreign(text, line)
        try:
            return binascii.a2b_base64(data[:whole], strict_mode=True)
        except binascii.Error as error:
            raise _foreign(text, line) from error

    def finish(self, line: int) -> bytes:
        """The last bytes.

        Raises:
            MalformedMessage: `base64-truncated`, where the text breaks off inside a byte; `base64-damaged`, where `=`
                closes what is already complete.
        """
        rest, needed = self._rest, -len(self._rest) % 4
        self._rest = b""
        if len(rest) == 1:
            raise MalformedMessage(
                "base64-truncated",
                "The base64 text breaks off: its last group has one character.",
                line=line,
                mend="Send the attachment again, whole.",
            )
        if self._padding > needed:
            raise MalformedMessage("base64-damaged", "The base64 text has a `=` too many at its end.", line=line)
        self.unpadded = self._padding < needed
        return binascii.a2b_base64(rest + b"=" * needed)

    def _take_padding(self, data: bytes, text: str, line: int) -> bytes:
        """`data` without the `=` that ends it; they are counted, and nothing may follow them."""
        if self._padding:
            # What was carried over stood before the padding; only new text is judged.
            body, new = self._rest, data[len(self._rest) :]
        else:
            at = data.index(b"=")
            body, new = data[:at], data[at:]
        if new.strip(b"="):
            raise MalformedMessage(
                "base64-damaged",
                "The base64 text goes on after the `=` that ends it.",
                line=line + text.count("\n", 0, max(text.find("="), 0)),
                mend="Encode the attachment in one go, not in parts that are joined.",
            )
        self._padding += len(new)
        return body


def _foreign(text: str, line: int) -> MalformedMessage:
    found = _FOREIGN.search(text)
    # binascii refuses nothing else here: white space and padding are taken out before.
    place = found.start() if found else 0
    return MalformedMessage(
        "base64-damaged",
        f"The base64 text holds {text[place]!r}, which is no base64.",
        line=line + text.count("\n", 0, place),
        mend="Send the attachment again: it was damaged on its way or when it was written.",
    )
