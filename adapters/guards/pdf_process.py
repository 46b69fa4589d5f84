"""Asking the process that reads PDF files, and starting another when one has ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from adapters.pdf_signatures import PdfSignature
from schemas.limits import KIB

_MODULE: Final = "adapters.guards.pdf_reading"
_ANSWER: Final = 256 * KIB
#: Files that one process reads: what a reader leaves in memory goes with it.
_FILES: Final = 200
#: Seconds beyond its own limit, in which a process has started and read its modules.
_START: Final = 30.0


@dataclass(frozen=True, slots=True)
class Look:
    """What is in a file: its signatures (the first of `count`), or why that cannot be said."""

    signatures: tuple[PdfSignature, ...] = ()
    count: int = 0
    fault: str | None = None


class PdfProcess:
    """One process at a time, asked about one file at a time. `seconds` and `memory` (bytes) bound what a file takes."""

    def __init__(self, *, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._memory = memory
        self._process: asyncio.subprocess.Process | None = None
        self._files = 0
        self._turn = asyncio.Lock()

    async def look(self, path: Path, anchors: Sequence[Path], at: datetime) -> Look:
        """Read the file. One that takes too long, or too much memory, is a file with a fault."""
        async with self._turn:
            try:
                return await self._asked(path, anchors, at)
            except BaseException:
                # Whoever is cancelled leaves an answer behind that nobody asked for.
                await self._end()
                raise

    async def _asked(self, path: Path, anchors: Sequence[Path], at: datetime) -> Look:
        process = self._process if self._process and self._process.returncode is None else await self._start()
        assert process.stdin is not None  # noqa: S101 - both were asked for
        assert process.stdout is not None  # noqa: S101 - as above
        asked = {"path": str(path), "anchors": [str(each) for each in anchors], "at": at.isoformat()}
        line = b""
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(self._seconds + _START):
                process.stdin.write(json.dumps(asked).encode() + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
        self._files += 1
        if not line.endswith(b"\n"):
            await self._end()
            return Look(fault=f"It takes more than {self._seconds:.0f} seconds or {self._memory} bytes to be read.")
        if self._files >= _FILES:
            await self._end()
        answer = json.loads(line)
        if "fault" in answer:
            return Look(fault=answer["fault"])
        return Look(tuple(_signature(each) for each in answer["signatures"]), answer["count"])

    async def _start(self) -> asyncio.subprocess.Process:
        self._files = 0
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE, str(self._seconds), str(self._memory)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # Nothing of the node's environment: there may be passwords in it.
            env={"PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C.UTF-8"},
            limit=_ANSWER,
        )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def close(self) -> None:
        """End the process; one that is asked meanwhile loses its file."""
        await self._end()


def _signature(said: Mapping[str, Any]) -> PdfSignature:
    when = said["signed_at"]
    return PdfSignature(**{**said, "signed_at": datetime.fromisoformat(when) if when else None})
