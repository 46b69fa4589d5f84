"""Kill an adapter at every step of its way: `python -m tests.adapters.crash_points in|out FOLDER`.

A process is forked that dies (no handler runs, as under SIGKILL) right before its first step, then one that dies before
its second, and so on until one lives. A step is a file opened for writing, a rename, a change of a folder or a mode, a
sync, a commit of the database. After each death a clerk takes away what was shown, another process starts the
adapter again, and the node tries again. Prints, as JSON, what was left each time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import sqlalchemy

from adapters.filedrop import open_filedrop
from tests.adapters.classic import classic
from tests.adapters.conftest import Drop
from tests.adapters.simulator import NodeSimulator
from tests.adapters.test_filedrop_in import FILES, delivery_of

_STEPS = frozenset({"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod"})
_DEAD = 77


class Steps:
    """Counts the steps below a folder, and dies before the one that is asked for."""

    def __init__(self, folder: Path, last: int) -> None:
        self._folder = str(folder)
        self._left = last
        self._lock = threading.Lock()

    def watch(self) -> None:
        sys.addaudithook(self._audited)
        os.fsync = self._before(os.fsync)
        sqlalchemy.Connection.commit = self._before(sqlalchemy.Connection.commit)  # type: ignore[method-assign] # the point of this module

    def _audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        is_step = event in _STEPS or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        # A path, or a file descriptor, which only our own code uses here.
        if is_step and (isinstance(arguments[0], int) or str(arguments[0]).startswith(self._folder)):
            self._take()

    def _before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self._take()
            return step(*arguments)

        return wrapped

    def _take(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os._exit(_DEAD)


async def hand_over(drop: Drop) -> None:
    await drop.adapter.deliver(delivery_of(drop, FILES))


async def send(drop: Drop) -> None:
    await drop.look(0, 2)


def forked(folder: Path, work: Callable[[Drop], Awaitable[None]], *, last: int | None) -> int:
    """Run `work` on the drop in `folder` in a process of its own; gives its exit status."""
    child = os.fork()
    if child == 0:
        if last is not None:
            Steps(folder, last).watch()
        asyncio.run(_run(folder, work))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def _run(folder: Path, work: Callable[[Drop], Awaitable[None]]) -> None:
    node = NodeSimulator(folder / "outbox")
    adapter = await open_filedrop(node.context(folder / "filedrop"))
    await work(Drop(node, adapter, folder / "filedrop"))
    await adapter.close()


def take_away(folder: Path) -> None:
    """What a clerk does with a folder in in/: moves it to where the agency keeps its documents."""
    archive = folder / "archive"
    archive.mkdir(exist_ok=True)
    for shown in (folder / "filedrop" / "in").glob("[!.]*"):
        shown.rename(archive / f"{len(list(archive.iterdir()))}")


def survey(folder: Path) -> dict[str, Any]:
    """What stands in `folder` in the end, relative to where it matters."""

    def below(*parts: str) -> list[str]:
        root = folder.joinpath(*parts)
        return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []

    notes = [json.loads(path.read_text()) for path in (folder / "filedrop" / "sent").rglob("*.receipt.json")]
    messages = [json.loads(path.read_text())["message_id"] for path in (folder / "outbox").glob("[!.]*")]
    return {
        "archive": below("archive"),
        "in": below("filedrop", "in"),
        "out": below("filedrop", "out"),
        "failed": below("filedrop", "failed"),
        "sent": below("filedrop", "sent"),
        "noted": [note["message_id"] for note in notes],
        "messages": messages,
    }


def main() -> None:
    work = {"in": hand_over, "out": send}[sys.argv[1]]
    surveys = []
    status, last = _DEAD, 0
    while status == _DEAD:
        last += 1
        folder = Path(sys.argv[2]) / str(last)
        out = folder / "filedrop" / "out"
        out.mkdir(parents=True)
        if work is send:
            (out / "6111.edxml").write_bytes(classic(dict(FILES)))
        status = forked(folder, work, last=last)
        take_away(folder)
        again = forked(folder, work, last=None)
        take_away(folder)
        surveys.append({"status": status, "again": again} | survey(folder))
    sys.stdout.write("\n" + json.dumps(surveys) + "\n")


if __name__ == "__main__":
    main()
