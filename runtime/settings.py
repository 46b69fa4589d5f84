"""Settings: one TOML file read into one frozen model; what is wrong is named by its key, with the fix."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.files import storage_errors
from schemas.errors import Rejected

SettingsT = TypeVar("SettingsT", bound="Settings")


class Settings(BaseModel):
    """A table of settings. Unknown keys are errors: a misspelt key must not silently keep a default.

    The docstrings of table and keys explain them in the settings file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


def load_settings(model: type[SettingsT], path: Path, *, environment_prefix: str) -> SettingsT:
    """Read `path` into `model`; `PREFIX__TABLE__KEY` in the environment overrides a key of the file.

    Raises `settings-missing`, `settings-syntax` (with the line) or `settings-invalid` (naming each key).
    """
    if not path.is_file():
        raise Rejected(
            "settings-missing",
            f"{path}: there is no settings file.",
            mend="Give the folder with --dir, or make one with `init`.",
        )
    with storage_errors(path):
        content = path.read_bytes()
    try:
        values: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Rejected("settings-syntax", f"{path} is not UTF-8: {error}.", mend="Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise Rejected("settings-syntax", f"{path}: {error}.", mend="Correct the TOML at that place.") from error
    variables: dict[str, str] = {}
    for name, value in os.environ.items():
        if name.startswith(environment_prefix + "__"):
            keys = name.removeprefix(environment_prefix + "__").lower().split("__")
            _override(values, keys, value)
            variables[".".join(keys)] = name
    return settings_of(model, values, source=str(path), variables=variables)


def settings_of(
    model: type[SettingsT],
    values: Mapping[str, object],
    *,
    source: str,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> SettingsT:
    """Read a table that is in memory; raises `settings-invalid`, naming `source` and each wrong key.

    `variables`: keys that are not of the source, but of variables of the environment.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise Rejected(
            "settings-invalid",
            f"{source}: {_sentence(error, variables)}",
            mend="config.example.toml explains every key.",
        ) from error


def _override(values: dict[str, Any], keys: list[str], value: str) -> None:
    *tables, key = keys
    for table in tables:
        inner = values.setdefault(table, {})
        if not isinstance(inner, dict):
            return
        values = inner
    values[key] = value


def _sentence(error: ValidationError, variables: Mapping[str, str]) -> str:
    complaints = []
    for detail in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in detail["loc"])
        if key in variables:
            key = f"{key} (here by the environment's {variables[key]})"
        if detail["type"] == "extra_forbidden":
            complaints.append(f"{key} is no setting (misspelt?)")
        elif detail["type"] == "missing":
            complaints.append(f"{key} must be set")
        else:
            complaints.append(f"{key}: {detail['msg'].removeprefix('Value error, ')}")
    return "; ".join(complaints) + "."
