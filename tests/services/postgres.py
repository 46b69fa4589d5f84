"""A PostgreSQL server of one's own: on a port of 127.0.0.1, in a folder of its own, gone with the process."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from runtime.postgres_address import DatabaseSettings, PostgresAddress

#: Debian keeps the server's programs out of PATH.
_DEBIAN: Final = Path("/usr/lib/postgresql")
_USER: Final = "congvan"
#: The server refuses to run as root.
_ACCOUNT: Final = "postgres"
_PATIENCE: Final = 60.0
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 2 << 30


class PostgresServer:
    """A server, made by `start`; after `stop` or `kill`, `start` runs it again on the same port with what it held.

    Start it from the main thread, not by `asyncio.to_thread`: the kernel stops it when the thread that started it ends.
    """

    def __init__(self) -> None:
        # Not below pytest's folder, which is closed to the server's account.
        self.folder = Path(tempfile.mkdtemp(prefix="congvan-postgres-", dir=_roomy_memory()))
        self.port = _free_port()
        self._password = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    @property
    def url(self) -> str:
        """The address of the server, without the name of a database."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/"

    def address(self, database: str) -> PostgresAddress:
        return PostgresAddress("127.0.0.1", self.port, _USER, database, password=self._password)

    def start(self) -> None:
        """Run the server until it answers."""
        if not (self.folder / "data").exists():
            self._make()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_account(), str(_program("postgres")), "-D", str(self.folder / "data")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        ends_at = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None and time.monotonic() < ends_at:
                # Killed, its children hold its memory for a moment; the server does not start beside them.
                time.sleep(0.05)
                return self.start()
            assert time.monotonic() < ends_at, (self.folder / "log").read_text()[-4000:]
            time.sleep(0.02)
        return None

    def stop(self) -> None:
        """End all sessions, write what is to be written, and end."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End at once, as by a power cut of the server (the disk's own cache apart)."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """End, and leave nothing behind."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, template: str | None = None) -> str:
        """Make a database, empty or as `template` is; gives its name."""
        self._made += 1
        name = f"{template or 'test'}_{self._made}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return name

    def settings(self, database: str, password_file: Path) -> DatabaseSettings:
        """The table `[database]` that leads to `database`; the password is written into `password_file`."""
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        return DatabaseSettings(url=self.url + database, password_file=password_file)

    def drop_database(self, name: str) -> None:
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement by hand, as the owner of everything; gives its rows, a line each, columns by `|`."""
        done = subprocess.run(
            [
                *(shutil.which("psql") or str(_program("psql")), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
                *("-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "-d", database, "-c", statement),
            ],
            env={**os.environ, "PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "10"},
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.remove()

    def _make(self) -> None:
        password = self.folder / "password"
        password.write_text(self._password)
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ACCOUNT)
            for made in (self.folder, password):
                os.chown(made, account.pw_uid, account.pw_gid)
        made = subprocess.run(
            [
                *(*_as_account(), str(_program("initdb")), "-D", str(self.folder / "data"), "-U", _USER, "-E", "UTF8"),
                *("--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"),
            ],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        assert made.returncode == 0, made.stderr
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
                "max_connections = 200\nshared_buffers = 64MB\nautovacuum = off\nmax_wal_size = 4GB\n"
            )

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            ready = subprocess.run(
                [str(_program("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
            )
            return ready.returncode == 0
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_PATIENCE)
            self._process = None


def _roomy_memory() -> Path | None:
    """The system's folder in memory, where syncs cost nothing and a killed server still finds what it wrote."""
    with contextlib.suppress(OSError):
        if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
            return _MEMORY
    return None


def _program(name: str) -> Path:
    found = shutil.which(name)
    if found and name != "psql":
        return Path(found)
    versions = sorted(_DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    assert versions, f"{name}: install PostgreSQL (`make deps`)"
    return versions[-1]


def _as_account() -> Iterator[str]:
    yield from ("setpriv", "--pdeathsig", "QUIT")
    if os.geteuid() == 0:
        account = pwd.getpwnam(_ACCOUNT)
        yield from (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    yield "--"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
