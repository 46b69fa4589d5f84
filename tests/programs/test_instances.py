"""Two instances of one node on one database: one works, the other takes its place, and nothing comes twice."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from congvan.demo.programs import Program
from tests.programs import exchange
from tests.programs.servers import all_arrived, on_server
from tests.services.postgres import PostgresServer

DOCUMENTS = 12


@pytest.mark.programs
@pytest.mark.timeout(600)
async def test_the_second_instance_takes_over(tmp_path: Path, postgres: PostgresServer) -> None:
    """While the first runs the second hands nothing over; when it is killed the second goes on, each document once."""
    site = on_server(tmp_path, postgres)
    await site.set_up()
    second = tmp_path / "second"
    shutil.copytree(site.node_folder("H23"), second)
    # On two machines this would be a share: the folders for the software, with the keys of what was handed over.
    (second / "filedrop").symlink_to(site.node_folder("H23") / "filedrop")
    standby = Program(("node", "serve", "--dir", str(second)), tmp_path / "second.log", environment=site.environment)

    def says(event: str) -> bool:
        return event in standby.log.read_text(encoding="utf-8")

    async def stands_by() -> bool:
        return says("duty.awaited")

    try:
        await site.start_nodes()
        exchange.drop(site, 0)
        await exchange.until(partial(all_arrived, site, 1), "the first document")
        await standby.start()
        await exchange.until(stands_by, "the second instance to stand by")
        for number in range(1, DOCUMENTS):
            exchange.drop(site, number)
            if number == DOCUMENTS // 2:
                await exchange.until(partial(all_arrived, site, number // 2), "some documents")
                assert not says("message.handed-over")
                await site.nodes["H23"].kill()
        await exchange.until(partial(all_arrived, site, DOCUMENTS), "all documents")
        assert len(await exchange.settled(site, DOCUMENTS)) == DOCUMENTS
        assert await exchange.subjects(site, "H23") == sorted(f"Văn bản số {number}" for number in range(DOCUMENTS))
        assert says("message.handed-over")
    finally:
        if standby.is_running:
            await standby.stop()
        await site.stop()
