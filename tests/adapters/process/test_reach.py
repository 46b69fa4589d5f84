"""What the SDK grows by crosses to processes, too: its calls and its values."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import adapters.sdk
from adapters.process.codec import carried_types
from adapters.process.node_side import CALLS
from adapters.sdk import NodeApi

#: What frames carry by themselves.
_PLAIN = (str, int, float, bool, bytes, type(None), datetime, Path)


def test_every_call_of_a_node_can_be_made_from_a_process() -> None:
    """Each coroutine of NodeApi is answered on the node's side, and nothing else is."""
    declared = {name for name, one in vars(NodeApi).items() if inspect.iscoroutinefunction(one)}
    assert declared == CALLS


def test_every_value_of_the_sdk_can_be_carried() -> None:
    """Each type that a field of an SDK value has, however deep, is one that frames carry."""
    seen: set[object] = set()
    values = [one for one in vars(adapters.sdk).values() if dataclasses.is_dataclass(one)]
    missing = {str(found) for one in values for found in _reached(one, seen) if found not in carried_types()}
    # What an adapter is made from stays where it is made.
    assert missing == set()


def _reached(one: Any, seen: set[object]) -> Iterator[type]:
    if one in seen or one is adapters.sdk.AdapterContext:
        return
    seen.add(one)
    if dataclasses.is_dataclass(one):
        yield typing.cast("type", one)
        hints = typing.get_type_hints(one)
        for field in dataclasses.fields(one):
            yield from _reached(hints[field.name], seen)
    elif isinstance(one, type) and issubclass(one, Enum):
        yield one
    else:
        for part in typing.get_args(one):
            if part not in _PLAIN and part is not ...:
                yield from _reached(part, seen)
