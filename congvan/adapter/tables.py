"""An adapter's table of settings, from a file of its own or from a node's."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node.adapter_tables import Assignment
from runtime.files import storage_errors
from schemas.errors import Rejected


def adapter_table(path: Path, adapter: str) -> Mapping[str, Any]:
    """The table in the TOML file `path`: `[adapters.<name>]` if it has such tables, else the whole file.

    With several, the one that bears the adapter's name. The node's own keys are left out. Raises Rejected:
    `settings-syntax`, `adapter-table-missing`.
    """
    with storage_errors(path):
        content = path.read_bytes()
    try:
        table: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise Rejected("settings-syntax", f"{path}: {error}.", mend="Correct the TOML at that place.") from error
    tables = table.get("adapters")
    if isinstance(tables, dict):
        table = _of(tables, adapter, path)
    return {key: value for key, value in table.items() if key not in Assignment.model_fields}


def _of(tables: dict[str, Any], adapter: str, path: Path) -> dict[str, Any]:
    named = [name for name, one in tables.items() if isinstance(one, dict) and adapter in (name, one.get("adapter"))]
    chosen = named[:1] or list(tables)
    if len(chosen) != 1 or not isinstance(tables[chosen[0]], dict):
        raise Rejected(
            "adapter-table-missing",
            f"{path} has no table for {adapter}, but {', '.join(tables) or 'none at all'}.",
            mend="Give a file that holds the adapter's keys alone.",
        )
    found: dict[str, Any] = tables[chosen[0]]
    return found
