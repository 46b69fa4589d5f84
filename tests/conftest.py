"""What holds for every test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.services.columns import DatabaseColumn, PostgresColumn, SqliteColumn
from tests.services.postgres import PostgresServer
from tests.services.rabbitmq import RabbitMQ
from tests.services.seaweedfs import BUCKET, SeaweedFs, seaweedfs

# Tests run beside others on shared processors: how long an example takes says nothing of what is tested.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that a test runs in this process configures its logs; the next test is to find none of that."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def object_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    """A real S3 server with the bucket `attachments`; each test takes a prefix of its own in it."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of this process; who stops it starts it again."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ for all tests of this process; who stops it starts it again."""
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_column() -> Iterator[SqliteColumn]:
    column = SqliteColumn()
    yield column
    column.remove()


@pytest.fixture(scope="session")
def postgres_column(postgres: PostgresServer) -> PostgresColumn:
    return PostgresColumn(postgres)


@pytest.fixture(params=["sqlite", "postgres"])
def column(request: pytest.FixtureRequest) -> Iterator[DatabaseColumn]:
    """Where the test's databases are. A test that takes this, or a fixture that does, runs once for each column."""
    column: DatabaseColumn = request.getfixturevalue(f"{request.param}_column")
    yield column
    column.forget()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-kill", action="store_true", help="kill at every step of every way, not at some of them")
