"""Strict access to the members of a JSON object by name; an error names the member's path (`agencies[3].code`)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from schemas.errors import MalformedCode, MalformedMessage

T = TypeVar("T")

# No name or id of ours has them; PostgreSQL takes no NUL, UTF-8 no surrogate, and a terminal obeys the others.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Members:
    """The members of one object, which stands at `path`."""

    __slots__ = ("_members", "_path")

    def __init__(self, members: dict[str, Any], path: str) -> None:
        self._members = members
        self._path = path

    def has(self, name: str) -> bool:
        """Whether there is such a member, which older writers leave out."""
        return name in self._members

    def number(self, name: str) -> int:
        number = self._member(name)
        # A bool is an int to Python, not to JSON.
        if not isinstance(number, int) or isinstance(number, bool):
            raise _fault("a whole number", self._path_of(name))
        return number

    def text(self, name: str) -> str:
        return self.value(name, str)

    def value(self, name: str, read: Callable[[str], T]) -> T:
        """What `read` makes of the text. A ValueError or MalformedCode of `read` names the member."""
        return _read(self._member(name), self._path_of(name), read)

    def values(self, name: str, read: Callable[[str], T]) -> tuple[T, ...]:
        """What `read` makes of each text of an array."""
        path = self._path_of(name)
        return tuple(_read(item, f"{path}[{place}]", read) for place, item in enumerate(self._array(name)))

    def objects(self, name: str) -> list[Members]:
        """The objects of an array."""
        path = self._path_of(name)
        return [_members(item, f"{path}[{place}]") for place, item in enumerate(self._array(name))]

    def _array(self, name: str) -> list[Any]:
        array = self._member(name)
        if not isinstance(array, list):
            raise _fault("an array", self._path_of(name))
        return array

    def _member(self, name: str) -> Any:
        try:
            return self._members[name]
        except KeyError as error:
            raise MalformedMessage(
                "member-missing",
                f"The member {name} is missing.",
                element=self._path_of(name),
                mend=f"Write {name}.",
            ) from error

    def _path_of(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def parse_object(data: bytes) -> Members:
    """The object that `data` is: UTF-8 JSON (RFC 8259) without a byte order mark, no member twice.

    Raises:
        MalformedMessage: it is not.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessage(
            "encoding-not-utf-8", f"The message is not UTF-8 (byte {error.start}).", mend="Write UTF-8."
        ) from error
    try:
        parsed = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise MalformedMessage("not-json", f"The message is not JSON: {error.msg}.", line=error.lineno) from error
    except RecursionError as error:
        raise MalformedMessage("too-deep", "Arrays or objects stand too deep in each other.") from error
    except ValueError as error:
        # Python's bound on the digits of a number, which guards against quadratic conversion.
        raise MalformedMessage("not-json", f"The message is not JSON that is read here: {error}.") from error
    return _members(parsed, "")


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise MalformedMessage("member-repeated", f"The member {name[:100]!r} stands twice in one object.")
        members[name] = value
    return members


def _no_number(constant: str) -> NoReturn:
    raise MalformedMessage("not-json", f"{constant} is no number of JSON.")


def _members(value: Any, path: str) -> Members:
    if not isinstance(value, dict):
        raise _fault("an object", path)
    return Members(value, path)


def _read(value: Any, path: str, read: Callable[[str], T]) -> T:
    if not isinstance(value, str):
        raise _fault("a text", path)
    if not value.isprintable() and (found := _CONTROL.search(value)):
        raise MalformedMessage(
            "text-not-carried",
            f"The text holds the character U+{ord(found[0]):04X}.",
            element=path,
            mend="Remove the character.",
        )
    try:
        return read(value)
    except MalformedCode as error:
        error.element = path
        raise
    except ValueError as error:
        raise MalformedMessage(
            "value-malformed", f"The text {value[:100]!r} is no value of its kind.", element=path
        ) from error


def _fault(kind: str, path: str) -> MalformedMessage:
    return MalformedMessage("member-malformed", f"The member is not {kind}.", element=path or "the whole")
