"""The peer: django-pyas2, two installations of it, signed messages answered at once with signed MDNs.

It has an environment of its own; what runs there lies in `pyas2/`. The receiver is gunicorn with two workers, the
sender a loop in processes that stay. Between them is plain HTTP on loopback: no TLS, which is in its favour.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import venv
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from congvan.demo.programs import free_port, listening
from schemas.errors import Unavailable
from tests.services.postgres import PostgresServer

_CODE: Final = Path(__file__).parent / "pyas2"
_REQUIREMENTS: Final = _CODE / "requirements.txt"
_HOST: Final = "127.0.0.1"
_SENDER, _RECEIVER = "G22", "H23"

#: oscrypto looks for a version of OpenSSL whose parts have one digit: it does not know 3.0.15.
_ONE_DIGIT: Final = r"(\\d\\.\\d\\.\\d[a-z]*)"
_DIGITS: Final = r"(\\d+\\.\\d+\\.\\d+[a-z]*)"


@dataclass(frozen=True, slots=True)
class Peer:
    """Both installations, running."""

    sender: asyncio.subprocess.Process

    async def send(self, documents: int, processes: int) -> float:
        """Documents a second, from the first to the last MDN."""
        assert self.sender.stdin is not None
        assert self.sender.stdout is not None
        self.sender.stdin.write(f"{documents} {processes}\n".encode())
        answer = await self.sender.stdout.readline()
        if not answer:
            raise Unavailable("peer-failed", "django-pyas2's sender ended; what it said is on standard error.")
        return documents / float(answer)


def database(server: PostgresServer) -> str:
    """A new database of `server`, as the peer's settings take it."""
    address = server.address(server.create_database())
    return f"postgresql://{address.user}:{address.password}@{address.host}:{address.port}/{address.database}"


async def installed(cache: Path) -> Path:
    """The Python of an environment with django-pyas2 in it, made if it is not there."""
    digest = sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache / f"pyas2-{digest}"
    python = folder / "bin" / "python"
    mark = folder / "installed"
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        await asyncio.to_thread(venv.create, folder, with_pip=True)
        quiet = ("--disable-pip-version-check", "-qq", "--require-hashes")
        await _done(python, "-m", "pip", "install", *quiet, "-r", _REQUIREMENTS, environment=os.environ)
        _teach_two_digits(folder)
        mark.touch()
    return python


def _teach_two_digits(environment: Path) -> None:
    for path in environment.glob("lib/*/site-packages/oscrypto/_openssl/_libcrypto_c*.py"):
        path.write_text(path.read_text().replace(_ONE_DIGIT, _DIGITS))


@contextlib.asynccontextmanager
async def running(python: Path, folder: Path, size: int, databases: Sequence[str]) -> AsyncIterator[Peer]:
    """Sender and receiver in `folder`, with documents of `size` bytes.

    `databases` are the sender's and the receiver's, as `database` gives them; empty: SQLite in the folder.
    """
    folder.mkdir()
    port = free_port(_HOST)
    environments = {}
    for name, database in zip((_SENDER, _RECEIVER), databases, strict=True):
        home = folder / name
        (home / "media").mkdir(parents=True)
        environments[name] = {
            **os.environ,
            "PYTHONPATH": str(_CODE),
            "DJANGO_SETTINGS_MODULE": "peer_settings",
            "PEER_FOLDER": str(home),
            "PEER_DATABASE": database,
        }
    await _done(python, _CODE / "peer_keys.py", folder, _SENDER, _RECEIVER, environment=environments[_SENDER])
    for own, other in ((_SENDER, _RECEIVER), (_RECEIVER, _SENDER)):
        url = f"http://{_HOST}:{port}/as2receive"
        await _done(python, _CODE / "peer_parties.py", own, other, folder, url, environment=environments[own])
    pipe = asyncio.subprocess.PIPE
    async with contextlib.AsyncExitStack() as stack:
        with (folder / "peer.log").open("wb") as log:
            receiver = await asyncio.create_subprocess_exec(
                python, "-m", "gunicorn", "--no-control-socket", "--workers", "2",
                "--bind", f"{_HOST}:{port}", "peer_application",
                env=environments[_RECEIVER], cwd=_CODE, stdout=log, stderr=log,
            )  # fmt: skip
            stack.push_async_callback(_ended, receiver)
        await listening(_HOST, port)
        sender = await asyncio.create_subprocess_exec(
            python, _CODE / "peer_sender.py", _SENDER, _RECEIVER, str(size),
            env=environments[_SENDER], stdin=pipe, stdout=pipe,
        )  # fmt: skip
        stack.push_async_callback(_ended, sender)
        yield Peer(sender)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()  # the sender ends with its input, and its pools with it
    else:
        process.terminate()
    await process.wait()


async def _done(*command: str | Path, environment: Mapping[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(*map(str, command), env=dict(environment), stdout=sys.stderr)
    if await process.wait() != 0:
        raise Unavailable("peer-failed", f"{command[0]} {command[1]} … failed; what it said is on standard error.")
