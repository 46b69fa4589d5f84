"""Programs of ours as processes of their own: started, waited for, stopped, killed; each with its log in a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas.errors import Unavailable

#: The congvan command of the Python that runs this.
COMMAND = (sys.executable, "-m", "congvan")

#: Seconds that a program of ours may take to answer or to end before something is wrong, on a slow and busy machine.
PATIENCE = 60.0


class Program:
    """A long-running `congvan` command. `log` gets what it writes, JSON lines, across restarts."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._command = (*command, *arguments)
        self._environment = os.environ | (environment or {})
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in a terminal reaches the parent alone, which stops its programs in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
                start_new_session=True,
            )  # fmt: skip

    async def stop(self) -> int:
        """Ask it to end (SIGTERM) and wait for it; gives its exit status."""
        process = self._running()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        return await self.wait()

    async def kill(self) -> None:
        """End it at once, wherever it is (SIGKILL)."""
        with contextlib.suppress(ProcessLookupError):
            self._running().kill()
        await self.wait()

    async def ended(self) -> int:
        """Wait for as long as it runs; gives its exit status."""
        return await self._running().wait()

    async def wait(self) -> int:
        """Wait until it has ended; gives its exit status."""
        process = self._running()
        try:
            return await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            raise Unavailable("program-hangs", f"{' '.join(self._command)} did not end; its log: {self.log}") from None

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise Unavailable("program-not-started", f"{' '.join(self._command)} was not started.")
        return self._process


async def listening(host: str, port: int) -> None:
    """Wait until something accepts connections at `host`:`port`. Raises `program-silent`."""
    for _ in range(int(PATIENCE / 0.05)):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return
    raise Unavailable("program-silent", f"Nothing listens on {host}:{port}.")


def free_port(host: str) -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
