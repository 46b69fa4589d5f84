"""What the documents show is so: links lead somewhere, examples run, codes and metrics exist."""

from __future__ import annotations

import asyncio
import re
import sys
import tomllib
from importlib.metadata import EntryPoint
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

from adapters import loading
from adapters.loading import GROUP, load_adapter
from adapters.sdk import Accepted, Guarantee
from schemas.codes import AgencyCode
from schemas.message import BusinessType, Organ, Priority
from schemas.metadata import document_from_metadata
from tests.adapters.simulator import NOW, NodeSimulator
from tests.schemas.samples import DOCUMENT

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "deploy" / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
CODE = ("congvan", "hub", "node", "adapters", "runtime", "transport", "certs", "schemas")

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def sources() -> str:
    """The text of the programs."""
    files = chain.from_iterable((ROOT / folder).rglob("*.py") for folder in CODE)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(file: Path) -> None:
    """Every relative link of a page names a file or folder of the repository."""
    links = [link for link in _LINK.findall(file.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (file.parent / link).exists()] == []


async def test_the_example_adapter_hands_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter of sdk.md, taken from the page, is loaded by its entry point, takes a message, ends when told."""
    text = page("adapters/sdk.md")
    [example] = blocks(text, "python")
    assert len(example.splitlines()) <= 30
    module = ModuleType("your_package")
    exec(compile(example, "sdk.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "your_package", module)
    [entry_points, settings] = [tomllib.loads(block) for block in blocks(text, "toml")]
    [(name, value)] = entry_points["project"]["entry-points"][GROUP].items()
    monkeypatch.setattr(loading, "entry_points", lambda group: [EntryPoint(name, value, group)])
    assert name in settings["adapters"]

    node = NodeSimulator(tmp_path / "outbox")
    adapter = await load_adapter(name)(node.context(tmp_path / name))
    delivery = node.delivery(DOCUMENT)
    assert [await adapter.deliver(delivery), await adapter.deliver(delivery)] == [Accepted(), Accepted()]
    assert [file.read_bytes() for file in (tmp_path / name).iterdir()] == [delivery.sealed]
    assert adapter.guarantee in Guarantee
    assert (await adapter.health()).ok
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop))
    stop.set()
    async with asyncio.timeout(60):
        await running
    await adapter.close()


def metadata_examples() -> list[dict[str, object]]:
    tables = [tomllib.loads(block) for block in blocks(page("adapters/filedrop.md"), "toml")]
    return [table for table in tables if "adapters" not in table]


def test_the_metadata_examples_are_accepted() -> None:
    """The meta.toml of filedrop.md, and the replacement below it, make documents that say what they say."""
    sender = Organ(organ_id=AgencyCode.parse("G22"))
    urgent, replacement = (
        document_from_metadata(table, sender=sender, recipients=(), now=NOW, attachments=())
        for table in metadata_examples()
    )
    assert [organ.organ_id.value for organ in urgent.recipients] == ["H23", "000.00.00.H31"]
    assert urgent.other_info.priority == Priority.EXPRESS
    assert (replacement.business and replacement.business.type) == BusinessType.REPLACE


def test_the_problem_codes_that_are_explained_exist() -> None:
    """Each code of the table in operations.md is one that the programs give."""
    text = page("operations.md").partition("## Problem codes")[2]
    codes = re.findall(
        r"`([a-z]+(?:-[a-z]+)+)`", "".join(line.split("|")[1] for line in text.splitlines() if "| `" in line)
    )
    said = sources()
    # The code of a seal's fault is put together: its rule stands in the source by itself.
    unknown = [code for code in codes if f'"{code}"' not in said and f'"{code.partition("-")[2]}"' not in said]
    assert codes
    assert unknown == []


def test_the_metrics_and_events_that_are_explained_exist() -> None:
    """Each metric and each event of the log that operations.md names stands in the code."""
    text = page("operations.md")
    metrics = [name.removesuffix("_total") for name in re.findall(r"congvan_(?:hub|node)_[a-z_]+", text)]
    events = chain.from_iterable(
        re.findall(r"`([a-z]+\.[a-z_-]+)`", line.split("|")[1])
        for line in text.splitlines()
        if re.match(r"\| `[a-z]+\.[a-z_-]+`.*\| (?:info|warning|error)", line)
    )
    said = sources()
    named = [*metrics, *events]
    assert len(named) > 30
    assert [name for name in named if f'"{name}"' not in said] == []
