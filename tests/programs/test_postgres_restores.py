"""A hub on PostgreSQL, put back to a dump by the manual's own commands while the exchange went on."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest

from hub.app import restored
from hub.settings import HubFolder
from tests.programs import exchange
from tests.programs.test_restores import SOON, audited_at_rest, messages_at_hub, sent
from tests.services.postgres import PostgresServer

MANUAL = Path(__file__).parents[2] / "docs" / "operations.md"


def commands(server: PostgresServer, database: str, dump: Path) -> dict[str, str]:
    """The manual's commands by their program, for the test's server, database and file."""
    text = MANUAL.read_text(encoding="utf-8")
    [block] = re.findall(r"test_postgres_restores.py runs.*?```console\n(.*?)```", text, re.DOTALL)
    block = block.replace("db.example.gov.vn", f"127.0.0.1 --port {server.port}").replace("/backup/hub.dump", str(dump))
    # The database's name, not the user's.
    block = re.sub(r"(?<!--username )\bcongvan(?=(_restored)?\s)", database, block)
    lines = [line.removeprefix("$ ") for line in block.splitlines()]
    return {line.split()[0]: line for line in lines}


def run(command: str, password_file: Path) -> None:
    environment = os.environ | {"PGPASSWORD": password_file.read_text()}
    ended = subprocess.run(command.split(), env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}: {ended.stderr}"


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_a_hub_put_back_to_a_dump_is_brought_all_that_it_had_accepted(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """A dump taken under traffic, restored into a new database: all is there again, once; the audit is clean."""
    name = postgres.create_database()
    asked = commands(postgres, name, tmp_path / "hub.dump")
    password = tmp_path / "hub.password"
    site = exchange.site(tmp_path)
    site.environment |= SOON
    site.databases["hub"] = postgres.settings(name, password)
    await site.set_up()
    try:
        await site.start_nodes()
        for number in (1, 2, 3):
            exchange.drop(site, number, content=b"%PDF-" + bytes(100_000 * number))
        await asyncio.to_thread(run, asked["pg_dump"], password)
        await exchange.settled(site, 3)
        await site.nodes["H23"].stop()
        exchange.drop(site, 4)

        async def accepted() -> bool:
            return len(await sent(site, "G22")) == 4

        await exchange.until(accepted, "the hub to accept the fourth document")
        await site.hub.kill()
        for program in ("createdb", "pg_restore"):
            await asyncio.to_thread(run, asked[program], password)
        settings = HubFolder(site.hub_folder).settings_file
        settings.write_text(settings.read_text().replace(f'/{name}"', f'/{name}_restored"'))
        begun = await restored(HubFolder(site.hub_folder), actor="test")
        assert begun.epoch != begun.before

        await site.start_hub()
        await site.nodes["H23"].start()
        documents = {story.message.message_id for story in await exchange.settled(site, 4)}

        async def all_at_hub() -> bool:
            here = await messages_at_hub(site)
            return set(here.get("document", ())) == documents and len(here.get("status", ())) == 4

        await exchange.until(all_at_hub, "the restored hub to have every document and status")
        assert await exchange.subjects(site, "H23") == [f"Văn bản số {number}" for number in (1, 2, 3, 4)]
        await audited_at_rest(site)
    finally:
        await site.stop()
        postgres.sql(f"DROP DATABASE IF EXISTS {name}_restored WITH (FORCE)")
