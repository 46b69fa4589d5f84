"""Values of the SDK as frames between a node and an adapter's process: JSON, with the bytes beside it.

Only what is listed here can be read: the frozen values and enumerations of the SDK and of the message language. Nothing
that a frame says makes the reader run anything else, as pickled objects would.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import adapters.sdk
from schemas import codes, directory, envelope, message, times
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.limits import MIB

#: A frame begins with the lengths of its two parts.
HEADER: Final = struct.Struct("!II")
#: Longest parts, in bytes: a message's text and its sealed bytes stay far below.
LONGEST: Final = 128 * MIB


def _values_in(*modules: ModuleType) -> Iterable[type]:
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, type) and (dataclasses.is_dataclass(value) or issubclass(value, Enum)):
                yield value


_TYPES: Final[Mapping[str, type]] = {
    each.__name__: each for each in _values_in(adapters.sdk, codes, directory, envelope, message, times)
}
_ERRORS: Final[Mapping[str, type[CongvanError]]] = {"Rejected": Rejected, "Unavailable": Unavailable}


def carried_types() -> frozenset[type]:
    """The values and enumerations that a frame may hold."""
    return frozenset(_TYPES.values())


def frame(value: object) -> bytes:
    """A frame with `value`. Raises TypeError for what no frame carries."""
    blobs: list[bytes] = []
    text = json.dumps(_plain(value, blobs), ensure_ascii=False, separators=(",", ":")).encode()
    size = sum(map(len, blobs))
    return b"".join((HEADER.pack(len(text), size), text, *blobs))


def value_in(text: bytes, blob: bytes) -> Any:
    """The value of a frame's two parts. Raises ValueError for anything that `frame` does not write."""
    try:
        return _value(json.loads(text), memoryview(blob))
    except (KeyError, TypeError, RecursionError, CongvanError) as error:
        raise ValueError(f"no value of the SDK: {error!r}") from error


def _plain(value: object, blobs: list[bytes]) -> object:
    def inner(each: object) -> object:
        return _plain(each, blobs)

    match value:
        case Enum():
            return {"enum": type(value).__name__, "value": value.value}
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            start = sum(map(len, blobs))
            blobs.append(value)
            return {"bytes": [start, len(value)]}
        case datetime():
            return {"time": value.isoformat()}
        case Path():
            return {"path": str(value)}
        case CongvanError():
            family = "Rejected" if isinstance(value, Rejected) else "Unavailable"
            parts = {name: getattr(value, name) for name in ("element", "line", "source", "mend")}
            return {"error": family, "code": value.code, "message": value.message, "parts": parts}
        case Mapping():
            return {"map": [[inner(key), inner(item)] for key, item in value.items()]}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {each.name: inner(getattr(value, each.name)) for each in dataclasses.fields(value)}
            return {"type": type(value).__name__, "fields": fields}
        case list() | tuple() | set() | frozenset():
            return [inner(each) for each in value]
        case _:
            raise TypeError(f"{type(value).__name__} is no value of the SDK")


def _value(plain: Any, blob: memoryview) -> Any:
    if isinstance(plain, list):
        return tuple(_value(each, blob) for each in plain)
    if not isinstance(plain, dict):
        return plain
    tag = next(iter(plain), "")
    return _TAGS[tag](plain, blob)


def _error(plain: Any, _blob: memoryview) -> CongvanError:
    return _ERRORS[plain["error"]](plain["code"], plain["message"], **plain["parts"])


def _bytes(plain: Any, blob: memoryview) -> bytes:
    start, length = plain["bytes"]
    return bytes(blob[start : start + length])


_TAGS: Final[Mapping[str, Callable[[Any, memoryview], Any]]] = {
    "enum": lambda plain, _: _TYPES[plain["enum"]](plain["value"]),
    "bytes": _bytes,
    "time": lambda plain, _: datetime.fromisoformat(plain["time"]),
    "path": lambda plain, _: Path(plain["path"]),
    "error": _error,
    "map": lambda plain, blob: {_value(key, blob): _value(item, blob) for key, item in plain["map"]},
    "type": lambda plain, blob: _TYPES[plain["type"]](
        **{name: _value(field, blob) for name, field in plain["fields"].items()}
    ),
}
