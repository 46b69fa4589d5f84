"""The worked example of docs/adapters/vxp.md, taken from the page, run against the API."""

from __future__ import annotations

import asyncio
import re
import tomllib
from pathlib import Path
from typing import Any

from adapters.sdk import Accepted
from adapters.vxp.settings import VxpSettings
from runtime.settings import settings_of
from tests.adapters.classic import classic
from tests.adapters.vxp.conftest import Site
from tests.adapters.vxp.test_receiving import offer

PAGE = (Path(__file__).parents[3] / "docs" / "adapters" / "vxp.md").read_text(encoding="utf-8")


def example(language: str) -> str:
    return str(re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)[0])


async def test_the_python_of_the_page_sends_and_receives(site: Site) -> None:
    """`send` has a document of the node's own made; `receive` stores what waits, once, and confirms it."""
    client = site.client()
    module: dict[str, Any] = {"ENDPOINT": site.endpoint, "SYSTEM_ID": client.system_id, "SECRET": client.secret}
    exec(compile(example("python"), "vxp.md", "exec"), module)
    doc_id = await asyncio.to_thread(module["send"], classic({"a.pdf": b"%PDF-1.4"}), "G22")
    assert list(site.node.taken) == [doc_id]
    key = offer(site)
    stored: dict[str, bytes] = {}
    for _ in range(2):
        await asyncio.to_thread(module["receive"], stored.__setitem__)
    assert list(stored) == [str(key)]
    assert stored[str(key)].endswith(b"</edXML>\n")
    assert site.node.settled == {key: Accepted()}


def test_the_settings_of_the_page_are_settings() -> None:
    """The first table of the page is one that the adapter takes."""
    table = tomllib.loads(example("toml"))["adapters"]["vxp"]
    settings = settings_of(VxpSettings, table, source="vxp.md")
    assert settings.systems["dms"].system_id == "vxp.saas.03"


def test_the_page_names_every_setting() -> None:
    """Each key of the adapter's table stands on its page."""
    assert [name for name in VxpSettings.model_fields if f"`{name}" not in PAGE] == []
