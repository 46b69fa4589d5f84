"""Processes that hand a message over and are killed in the middle: `python -m adapters.kit.victim`.

Reads requests, a JSON object on each line of standard input. For each one it forks a process that makes the adapter,
hands one message over and dies before the step that the request names. What happens is told on standard output, a
JSON object a line; the last one of a request has `ended`, how the process ended.

This process imports the adapter once and has no threads, so that forking it is sound.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.kit.messages import Case, Repertoire
from adapters.kit.node import StandInNode
from adapters.kit.stepping import Steps
from adapters.kit.targets import factory_named
from adapters.sdk import Accepted, AdapterFactory, Later, Never, Refused

#: The descriptor that the kit reads.
_told = 1


@dataclass(frozen=True, slots=True)
class _Request:
    target: str
    settings: dict[str, object]
    folder: str
    node: str
    root: str
    number: int
    last: int | None
    patience: float

    def case(self) -> Case:
        return Repertoire(Path(self.root), number=self.number - 1).ordinary()


def main() -> None:
    # An adapter may print, and log to what it takes for its terminal: the kit's answers have a way of their own.
    global _told  # noqa: PLW0603 - one process, one way
    _told = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = _Request(**json.loads(line))
        try:
            make = factory_named(request.target)
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is told
            _tell(trouble=repr(error), ended=None)
            continue
        child = os.fork()
        if child == 0:
            # Nothing of this process is undone in the other one.
            os._exit(_live(make, request))
        _tell(ended=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _live(make: AdapterFactory, request: _Request) -> int:
    try:
        asyncio.run(_hand_over(make, request))
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is told
        _tell(trouble=repr(error))
        return 1
    return 0


async def _hand_over(make: AdapterFactory, request: _Request) -> None:
    node = StandInNode(Path(request.node))
    case = request.case()
    node.know([case])
    steps = Steps(request.last)
    steps.watch()
    Path(request.folder).mkdir(parents=True, exist_ok=True)
    adapter = await make(node.context(Path(request.folder), request.settings))
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop), name="adapter.run")
    async with asyncio.timeout(request.patience):
        outcome: object = await adapter.deliver(case.delivery)
        if not isinstance(outcome, Accepted | Refused | Later | Never):
            node.record.offer(case.key)
            _tell(awaits=True)
            while node.record.settlement(case.key) is None:  # noqa: ASYNC110 - another process may settle it
                await asyncio.sleep(0.02)
    _tell(steps=steps.taken, **({} if not isinstance(outcome, Later) else {"trouble": outcome.reason}))
    stop.set()
    await asyncio.wait([running], timeout=request.patience)
    await adapter.close()


def _tell(**facts: Any) -> None:
    # One write: the process may die right after.
    os.write(_told, json.dumps(facts).encode() + b"\n")


if __name__ == "__main__":
    main()
