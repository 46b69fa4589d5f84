"""The parameters of a request, from the JSON object that its caller signed.

The SDK keeps one map for all calls of an object and never clears it: a request repeats every parameter of the calls
before, and holds `docId` beside `docid` with another value. So only the names that an operation needs are looked at,
and of two values under one name neither is believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from schemas.errors import Rejected

_PREFIX: Final = "xroadvnpt-"


@dataclass(frozen=True, slots=True)
class Parameters:
    """Values by name, the name in small letters and without `XroadVnpt-`."""

    values: Mapping[str, frozenset[str]]

    @classmethod
    def parse(cls, signed: bytes) -> Self:
        """Read the value of the sign-header. Raises `parameters-unreadable`."""
        try:
            pairs: object = json.loads(signed.decode(), object_pairs_hook=_Pairs)
        except (ValueError, RecursionError) as error:
            raise _unreadable() from error
        if not isinstance(pairs, _Pairs):
            raise _unreadable()
        values: dict[str, set[str]] = {}
        for name, value in pairs:
            if (text := _text(value)) is not None:
                values.setdefault(name.lower().removeprefix(_PREFIX), set()).add(text)
        return cls({name: frozenset(texts) for name, texts in values.items()})

    def find(self, name: str) -> str | None:
        """The value under `name` (in small letters), None if there is none. Raises `parameter-conflict`."""
        found = self.values.get(name, frozenset())
        if len(found) > 1:
            raise Rejected(
                "parameter-conflict",
                f"The parameter {name} has {len(found)} values in one request.",
                mend="Use a new service object, which remembers no earlier call, or one spelling of the name.",
            )
        return next(iter(found), None)

    def need(self, name: str) -> str:
        """The value under `name`. Raises `parameter-missing`, also for an empty one, and `parameter-conflict`."""
        value = self.find(name)
        if not value:
            raise Rejected(
                "parameter-missing", f"The parameter {name} is missing.", mend=f'Add "{name}" to the JSON argument.'
            )
        return value


class _Pairs(list[tuple[str, object]]):
    """The members of a JSON object in their order, repeated names too."""


def _text(value: object) -> str | None:
    match value:
        case str():
            return value.strip()
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            # The SDK writes texts alone.
            return None


def _unreadable() -> Rejected:
    return Rejected(
        "parameters-unreadable",
        "The header XroadVnpt-sign-header is no JSON object in UTF-8.",
        mend="Give parameters in ASCII: the SDK damages other letters.",
    )
