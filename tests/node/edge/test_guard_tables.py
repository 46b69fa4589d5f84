"""Guards from the settings: which run, in which order, and what is wrong is named."""

from __future__ import annotations

from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from adapters import loading
from adapters.guards.protocol import Guard, GuardContext, GuardedMessage, Passes, Verdict, Way
from adapters.sdk import Health
from node.guard_tables import open_guards
from node.settings import NodeFolder
from runtime.clock import utc_now
from schemas.errors import Rejected

CLOSED: list[str] = []


class Own:
    """A guard of another package."""

    def __init__(self, context: GuardContext) -> None:
        self.context = context

    async def judge(self, message: GuardedMessage) -> Verdict:
        return Passes()

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None:
        CLOSED.append(self.context.name)


async def open_own(context: GuardContext) -> Guard:
    return Own(context)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("own", f"{__name__}:open_own", loading.GUARDS)
    monkeypatch.setattr(loading, "entry_points", lambda group: [entry] if group == loading.GUARDS else [])


async def opened(stack: AsyncExitStack, **tables: dict[str, Any]) -> list[str]:
    named = {name.replace("_", "-"): table for name, table in tables.items()}
    return [post.name for post in await open_guards(named, NodeFolder(Path("/nowhere")), utc_now, stack)]


async def test_secrecy_runs_unless_it_is_switched_off() -> None:
    """A node without a word about guards has the words guard, and only a table can take it away."""
    async with AsyncExitStack() as stack:
        assert await opened(stack) == ["secrecy"]
        assert await opened(stack, secrecy={"enabled": False}) == []


async def test_guards_are_asked_in_their_order() -> None:
    """The cheap guards that ship come first, a foreign one last, unless a table says otherwise."""
    async with AsyncExitStack() as stack:
        assert await opened(stack, own={}, file_types={}) == ["secrecy", "file-types", "own"]
        assert await opened(stack, own={"order": 5}, file_types={}) == ["own", "secrecy", "file-types"]


async def test_a_guard_of_another_package_gets_its_own_table_and_is_closed() -> None:
    """A foreign guard runs under any name, reads what the node does not, watches its ways, and is closed in the end."""
    CLOSED.clear()
    async with AsyncExitStack() as stack:
        tables = {"drafts": {"guard": "own", "ways": ["incoming"], "words": ["draft"]}}
        posts = await open_guards(tables, NodeFolder(Path("/nowhere")), utc_now, stack)
        post = posts[-1]
        assert (post.name, post.ways) == ("drafts", {Way.INCOMING})
        assert isinstance(post.guard, Own)
        assert post.guard.context.settings == {"words": ["draft"]}
    assert CLOSED == ["drafts"]


@pytest.mark.parametrize(
    ("tables", "rule"),
    [
        ({"absent": {}}, "guard-unknown"),
        ({"secrecy": {"enabled": "perhaps"}}, "settings-invalid"),
        ({"secrecy": {"wrods": []}}, "settings-invalid"),
        ({"own": {"ways": ["sideways"]}}, "settings-invalid"),
    ],
)
async def test_what_is_wrong_with_a_guards_table_is_named(tables: dict[str, dict[str, Any]], rule: str) -> None:
    """A guard that is not there, and a setting that is none, are errors with the table's name."""
    async with AsyncExitStack() as stack:
        with pytest.raises(Rejected, match=next(iter(tables))) as error:
            await opened(stack, **tables)
    assert error.value.code == rule
