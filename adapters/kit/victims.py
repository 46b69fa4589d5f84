"""Processes that hand a message over and are killed in the middle: the side of the kit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from adapters.kit.messages import Case
from adapters.kit.stage import Stage

#: An adapter that is asked for a step it does not come to lives; such a process has so long to end.
_GRACE = 10.0


@dataclass(slots=True)
class Victims:
    """A process that forks one for each kill (`adapters.kit.victim`). Made by `begin`, left as a context.

    `trouble` says why a process could not hand over, in its own words.
    """

    kills: int
    _stage: Stage
    _process: asyncio.subprocess.Process
    trouble: str | None = None

    @classmethod
    async def begin(cls, stage: Stage) -> Victims | None:
        """None if no other process can make the adapter."""
        if stage.reference is None or stage.kills < 1:
            return None
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "adapters.kit.victim",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        return cls(stage.kills, stage, process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def steps(self, case: Case) -> int | None:
        """How many steps a process takes that is not killed; None if it could not hand `case` over."""
        return await self._run(case, None)

    async def killed_at(self, step: int, case: Case) -> None:
        """Have a process hand `case` over that dies before the step numbered `step`."""
        await self._run(case, step)

    async def _run(self, case: Case, last: int | None) -> int | None:
        stage = self._stage
        request = {
            "target": stage.reference,
            "settings": stage.table(),
            "folder": str(stage.folder),
            "node": str(stage.folder.parent / "node"),
            "root": str(stage.repertoire.folder),
            "number": case.number,
            "last": last,
            "patience": stage.patience,
        }
        assert self._process.stdin is not None  # noqa: S101 - it was made with pipes
        assert self._process.stdout is not None  # noqa: S101 - as above
        self._process.stdin.write(json.dumps(request, default=str).encode() + b"\n")
        fetching: asyncio.Task[None] | None = None
        steps: int | None = None
        try:
            async with asyncio.timeout(2 * stage.patience + _GRACE):
                while line := await self._process.stdout.readline():
                    told = json.loads(line)
                    self.trouble = told.get("trouble", self.trouble)
                    steps = told.get("steps", steps)
                    if told.get("awaits") and fetching is None:
                        fetching = asyncio.create_task(self._fetch(case))
                    if "ended" in told:
                        return steps
        finally:
            if fetching is not None:
                fetching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await fetching
        return None

    async def _fetch(self, case: Case) -> None:
        """Let the software fetch, for as long as the process lives."""
        self._stage.node.know([case])
        while True:
            await self._stage.take()
            await asyncio.sleep(0.02)
