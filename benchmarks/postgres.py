"""A PostgreSQL server for one run, on a disk and as durable as it comes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.services.postgres import PostgresServer


@contextlib.contextmanager
def postgres() -> Iterator[PostgresServer]:
    """The tests' server, out of the memory that it lies in there: a benchmark waits for its syncs."""
    server = PostgresServer()
    shutil.rmtree(server.folder)
    # Not below the run's folder: the server's account may not enter a checkout. /var/tmp is kept on disks.
    server.folder = Path(tempfile.mkdtemp(prefix="congvan-bench-postgres-", dir="/var/tmp"))
    with server:
        yield server
