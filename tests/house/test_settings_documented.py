"""`config.example.toml` explains every setting of both programs, and is what the models say today."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping

import pytest

from hub.settings import HubSettings
from node.settings import NodeSettings
from runtime.settings import Settings
from tests.house.config_example import EXAMPLE, NODE_MARK, example_text, hub_settings, node_settings


def parts() -> tuple[str, str]:
    """The hub's part and the node's."""
    hub, node = EXAMPLE.read_text(encoding="utf-8").split(f"\n{NODE_MARK}\n")
    return hub, node


def keys_of(table: Settings, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Every key below `table`: the header of its table, its name, its explanation."""
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, Settings):
            yield from keys_of(value, f"{path}.{name}".lstrip("."))
        elif isinstance(value, Mapping):
            for inner_name, inner in value.items():
                yield from keys_of(inner, f"{path}.{name}.{inner_name}".lstrip("."))
        else:
            yield path, name, field.description or ""


HUB_KEYS = tuple(keys_of(hub_settings()))
NODE_KEYS = tuple(keys_of(node_settings()))


def named(keys: tuple[tuple[str, str, str], ...]) -> list[str]:
    return [f"{table}.{name}" for table, name, _ in keys]


def assert_explained(part: str, table: str, key: str, explanation: str) -> None:
    """The table holds the key, a comment right above it, and that comment says what the model says."""
    _, header, rest = part.partition(f"\n[{table}]\n")
    assert header, f"[{table}] is not in the example"
    paragraphs = [text.splitlines() for text in rest.partition("\n[")[0].strip("\n").split("\n\n")]
    here = [lines for lines in paragraphs if lines[-1].removeprefix("# ").startswith(f"{key} = ")]
    assert len(here) == 1
    shown = " ".join(line.removeprefix("# ") for line in here[0][:-1])
    assert shown == " ".join(explanation.split()) != ""


def test_the_example_is_what_the_models_say() -> None:
    """The file in the repository equals the text made from the models of today."""
    assert EXAMPLE.read_text(encoding="utf-8") == example_text(), (
        "run: python -m tests.house.config_example > config.example.toml"
    )


@pytest.mark.parametrize(("table", "key", "explanation"), HUB_KEYS, ids=named(HUB_KEYS))
def test_every_key_of_a_hub_is_explained(table: str, key: str, explanation: str) -> None:
    """A key of the hub's settings stands in its table below a comment that says what it is for."""
    assert_explained(parts()[0], table, key, explanation)


@pytest.mark.parametrize(("table", "key", "explanation"), NODE_KEYS, ids=named(NODE_KEYS))
def test_every_key_of_a_node_is_explained(table: str, key: str, explanation: str) -> None:
    """A key of the node's settings, the adapters' among them, stands in its table below its explanation."""
    assert_explained(parts()[1], table, key, explanation)


def test_each_part_is_a_settings_file() -> None:
    """Either part, cut at the mark, is TOML that its program accepts, and means the defaults."""
    hub, node = (tomllib.loads(part) for part in parts())
    assert HubSettings.model_validate(hub) == hub_settings()
    models = {name: type(table) for name, table in node_settings().adapters.items()}
    adapters = {name: models[name].model_validate(table) for name, table in node["adapters"].items()}
    guards = {name: type(node_settings().guards[name]).model_validate(table) for name, table in node["guards"].items()}
    assert NodeSettings.model_validate(node | {"adapters": adapters, "guards": guards}) == node_settings()


def test_the_commented_defaults_are_values_of_toml() -> None:
    """Taking the # away from every default leaves a file that still means the same."""
    for part, keys, model in ((parts()[0], HUB_KEYS, HubSettings), (parts()[1], NODE_KEYS, NodeSettings)):
        names = {key for _, key, _ in keys}
        lines = [
            line.removeprefix("# ") if line.startswith("# ") and line[2:].partition(" = ")[0] in names else line
            for line in part.splitlines()
        ]
        model.model_validate(tomllib.loads("\n".join(lines)))
