"""The settings file that `hub init` writes: every key, explained, and read back as the same settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.settings import HubFolder, HubSettings, HubTable
from runtime.addresses import Address
from runtime.settings import Settings, settings_of
from runtime.settings_file import settings_text
from schemas.errors import Rejected

SETTINGS = HubSettings(hub=HubTable(name="hub.example.test", listen="127.0.0.1:0", url='https://"odd"\\path'))


def read(tmp_path: Path, text: str) -> HubSettings:
    (tmp_path / "congvan.toml").write_text(text)
    return HubFolder(tmp_path).read_settings()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """The file means the settings that it was made from."""
    assert read(tmp_path, settings_text(SETTINGS, heading="x")) == SETTINGS


def test_a_default_shown_is_the_default(tmp_path: Path) -> None:
    """Taking the # away from every line that shows a default changes nothing."""
    text = settings_text(SETTINGS, heading="x")
    opened, count = re.subn(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert count > 15
    assert read(tmp_path, opened) == SETTINGS


def tables(model: type[Settings], path: str = "") -> Iterator[tuple[str, type[Settings]]]:
    yield path, model
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from tables(field.annotation, f"{path}.{key}".lstrip("."))


def test_every_key_is_explained() -> None:
    """No setting is without a sentence, nor missing from the file."""
    text = settings_text(SETTINGS, heading="x")
    for path, model in tables(HubSettings):
        assert path == "" or f"[{path}]" in text
        for key, field in model.model_fields.items():
            if not (isinstance(field.annotation, type) and issubclass(field.annotation, Settings)):
                assert field.description, f"{path}.{key}"
                assert re.search(rf"^#.*\n(# )?{key} = ", text, re.MULTILINE), f"{path}.{key}"


@pytest.mark.parametrize(
    ("table", "names"),
    [
        ({"name": "hub", "lissten": "x:1"}, "hub.lissten"),
        ({"name": "hub", "listen": "8443"}, "host:port"),
        ({"name": "hub", "listen": "::1:8443"}, "host:port"),
        ({"name": "hub", "operations": {"listen": "localhost"}}, "hub.operations.listen"),
        ({"name": "hub", "directory": {"valid_days": 5, "renew_days": 5}}, "renew_days"),
        ({"name": "hub", "proxy": {"addresses": ["proxy.example"]}}, "hub.proxy.addresses"),
        ({"name": "hub", "proxy": {"addresses": ["10.0.0.10", "0.0.0.0/0"]}}, "hub.proxy.addresses"),
        ({"name": "hub", "proxy": {"addresses": ["::/0"]}}, "hub.proxy.addresses"),
        ({"name": "không gian"}, "hub.name"),
        ({}, "hub.name must be set"),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, object], names: str) -> None:
    """A misspelt key, an address that is none, a contradiction: each is named."""
    with pytest.raises(Rejected) as caught:
        settings_of(HubSettings, {"hub": table}, source="test")
    assert names in caught.value.message


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8443", Address("0.0.0.0", 8443)),
        ("[::]:1", Address("::", 1)),
        ("hub.example:0", Address("hub.example", 0)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    """host:port, with brackets around an IPv6 address."""
    assert Address.parse(text) == address
    assert str(address) == text


def test_nodes_are_told_the_name_and_the_port() -> None:
    """Unless the settings say otherwise, nodes are sent to the hub's name at the port that it listens on."""
    assert HubTable(name="hub.example.test", listen="0.0.0.0:8443").public_url == "https://hub.example.test:8443"
    assert SETTINGS.hub.public_url == SETTINGS.hub.url


def test_lists_of_addresses_come_from_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container gets its proxies as a text with commas; empty means none."""
    text = settings_text(SETTINGS, heading="x")
    monkeypatch.setenv("CONGVAN_HUB__HUB__PROXY__ADDRESSES", "10.0.0.10, 10.1.0.0/16")
    assert [str(one) for one in read(tmp_path, text).hub.proxy.addresses] == ["10.0.0.10/32", "10.1.0.0/16"]
    monkeypatch.setenv("CONGVAN_HUB__HUB__PROXY__ADDRESSES", "")
    assert read(tmp_path, text).hub.proxy.addresses == ()
