"""Folders whose database is gone, or of another schema: told in one sentence, and nothing is made in their place."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from typer.testing import CliRunner

from congvan.cli import app
from hub.store.schema import MIGRATIONS as HUB_MIGRATIONS
from node.store.migrate import MIGRATIONS as NODE_MIGRATIONS
from runtime.revisions import known
from schemas.errors import CongvanError
from tests.together.by_hand import by_hand

PLACES = {"hub": "hub/data/hub.db", "node": "g22/data/node.db"}


def _refusal(folder: Path, side: str, *command: str) -> CongvanError:
    result = CliRunner().invoke(app, [side, *command, "--dir", str((folder / PLACES[side]).parents[1])])
    assert isinstance(result.exception, CongvanError), result.output
    return result.exception


@pytest.mark.parametrize(
    ("side", "command"),
    [("hub", ("balance",)), ("hub", ("serve",)), ("hub", ("migrate",)), ("node", ("status",)), ("node", ("serve",))],
)
def test_a_lost_database_is_named_and_none_is_made(folder: Path, side: str, command: tuple[str, ...]) -> None:
    """A command or daemon in a folder without its database says which file is missing, and leaves it missing."""
    database = folder / PLACES[side]
    database.unlink()
    refusal = _refusal(folder, side, *command)
    assert refusal.code == "database-missing"
    assert str(database) in refusal.message
    assert not database.exists()


@pytest.mark.parametrize(("side", "command"), [("hub", "balance"), ("node", "status")])
@pytest.mark.parametrize(("revision", "code"), [("0001", "database-outdated"), ("9999", "database-newer")])
def test_a_command_refuses_another_schema(folder: Path, side: str, command: str, revision: str, code: str) -> None:
    """Before anything is asked of tables that may not be there; the mend says how to go on."""
    by_hand(folder / PLACES[side], f"UPDATE alembic_version SET version_num = '{revision}'")
    refusal = _refusal(folder, side, command)
    assert refusal.code == code
    assert revision in refusal.message
    assert refusal.mend


@pytest.mark.parametrize("migrations", [HUB_MIGRATIONS, NODE_MIGRATIONS], ids=["hub", "node"])
def test_revisions_are_known_by_their_files_as_alembic_knows_them(migrations: Path) -> None:
    """The names of the files give the very revisions, in the very order, that Alembic reads in them."""
    scripts = ScriptDirectory(str(migrations))
    assert list(known(migrations)) == [script.revision for script in scripts.walk_revisions()][::-1]
