"""A settings file for people: every key with its explanation, defaults as comments, so that they can change later."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from inspect import cleandoc

from runtime.settings import Settings

_WIDTH = 100


def settings_text(settings: Settings, *, heading: str) -> str:
    """The TOML of `settings`. A key that has its default is commented out with it; tables and keys are explained by the
    docstrings of their classes and fields. A mapping gives a table for each of its names."""
    lines = [*_comment(heading), "", *_table(settings, ())]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Settings, path: Sequence[str]) -> Iterator[str]:
    if path:
        yield from _comment(_paragraphs(cleandoc(type(table).__doc__ or "")))
        yield f"[{'.'.join(path)}]"
        yield ""
    fields = type(table).model_fields
    inner: dict[str, Settings] = {}
    for key, field in fields.items():
        value = getattr(table, key)
        if isinstance(value, Settings):
            inner[key] = value
            continue
        if isinstance(value, Mapping):
            inner |= {f"{key}.{name}": table for name, table in value.items()}
            continue
        yield from _comment(_paragraphs(field.description or ""))
        line = f"{key} = {_toml(value)}"
        yield line if field.is_required() or value != field.get_default(call_default_factory=True) else f"# {line}"
        yield ""
    for key, value in inner.items():
        yield from _table(value, (*path, key))


def _paragraphs(text: str) -> str:
    """A docstring's paragraphs, a line each: it is wrapped anew for the file."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _comment(text: str) -> Iterator[str]:
    for paragraph in text.splitlines():
        yield from (f"# {line}" for line in textwrap.wrap(paragraph, _WIDTH)) if paragraph.strip() else ("#",)


def _toml(value: object) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case Enum():
            return _toml(value.value)
        case int() | float():
            return str(value)
        case tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            # A JSON string is a TOML basic string; U+007F, which JSON leaves as it is, is the exception.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007F")
