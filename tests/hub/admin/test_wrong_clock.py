"""Two machines of one hub, of which one has a wrong clock."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub.initialisation import NewHub, initialise
from hub.settings import HubFolder
from hub.store.directory import directory_version
from runtime.clock import utc_now
from tests.hub.admin.conftest import NAME, running
from tests.hub.admin.test_server import call
from tests.services.postgres import PostgresServer


@dataclass(slots=True)
class MachineClock:
    """The clock of a machine, ahead by so much."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture
async def machines(tmp_path: Path, postgres: PostgresServer) -> tuple[HubFolder, HubFolder]:
    """The folders of one hub on two machines, whose database is on a server."""
    database = postgres.settings(postgres.create_database(), tmp_path / "password")
    first, second = HubFolder(tmp_path / "first"), HubFolder(tmp_path / "second")
    await initialise(first, NewHub(NAME, "127.0.0.1:0", ("127.0.0.1",), database=database), clock=utc_now)
    shutil.copytree(first.root, second.root)
    return first, second


@pytest.mark.timeout(120)
async def test_the_machine_with_the_right_clock_leads(machines: tuple[HubFolder, HubFolder]) -> None:
    """The machine that is weeks ahead says so, answers no node, and ends nothing; the other one leads and serves."""
    # By this clock the directory is to be signed anew, which is a duty of whoever leads.
    wrong, right = MachineClock(ahead=timedelta(days=25)), MachineClock()
    first, second = machines
    with capture_logs() as logs:

        def logged(event: str) -> int:
            return sum(entry["event"] == event for entry in logs)

        async with running(first, wrong) as ahead, asyncio.timeout(100):
            assert await call(ahead, "GET", "/readyz") == (503, {"ready": False, "degraded": False})
            assert await call(ahead, "GET", "/healthz") == (200, {"alive": True})
            status, problem = await call(ahead, "GET", "/v1/directory")
            assert (status, problem["code"]) == (503, "clock-differs")
            while not logged("duty.awaited"):  # noqa: ASYNC110 - it is told in the log alone
                await asyncio.sleep(0.05)
            assert (logged("clock.differs"), logged("duty.taken")) == (1, 0)
            async with running(second, right) as well:
                while not logged("duty.taken"):  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.05)
                assert await call(well, "GET", "/readyz") == (200, {"ready": True, "degraded": False})
                assert (await call(ahead, "GET", "/v1/directory"))[0] == 503
                assert await well.office.database.read(directory_version) == 1
                wrong.ahead = timedelta()
                while (await call(ahead, "GET", "/v1/directory"))[0] == 503:  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.2)
        assert (logged("clock.differs"), logged("clock.agrees"), logged("duty.taken")) == (1, 1, 1)
