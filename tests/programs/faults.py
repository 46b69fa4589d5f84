"""A `congvan` command that dies at a chosen point of its way: `python -m tests.programs.faults CONTROL ARGUMENT…`.

CONTROL is a file. `before 3` in it means: be killed (SIGKILL) right before the third step from now; `after 3`: right
after it. A step is a commit of the database, an fsync, or a rename. `count FILE` appends the name of each step to
FILE instead. The file can change while the program runs; an absent or empty file arms nothing. Nothing in the programs
knows of this: the steps are wrapped from outside.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy


class Control:
    """What the control file asks for, read anew whenever it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._order: list[str] = []
        self._steps = 0
        self._lock = threading.Lock()

    def around(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            moment = self._take(name)
            if moment == "before":
                die()
            answer = step(*args, **kwargs)
            if moment == "after":
                die()
            return answer

        return wrapped

    def _take(self, name: str) -> str | None:
        with self._lock:
            try:
                stat = self._path.stat()
            except FileNotFoundError:
                return None
            if self._identity != (stat.st_ino, stat.st_mtime_ns):
                self._identity = (stat.st_ino, stat.st_mtime_ns)
                self._order = self._path.read_text().split()
                self._steps = 0
            if not self._order:
                return None
            if self._order[0] == "count":
                with open(self._order[1], "a") as steps:  # noqa: PTH123 - Path.open would be a wrapped step's neighbour
                    steps.write(f"{name}\n")
                return None
            self._steps += 1
            return self._order[0] if self._steps == int(self._order[1]) else None


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    control = Control(Path(sys.argv[1]))
    sqlalchemy.Connection.commit = control.around("commit", sqlalchemy.Connection.commit)  # type: ignore[method-assign]  # the point of this module
    os.fsync = control.around("fsync", os.fsync)
    Path.replace = control.around("rename", Path.replace)  # type: ignore[method-assign]  # as above
    Path.rename = control.around("rename", Path.rename)  # type: ignore[method-assign]  # as above
    os.replace = control.around("rename", os.replace)
    os.rename = control.around("rename", os.rename)
    from congvan.cli import main as congvan

    sys.argv = ["congvan", *sys.argv[2:]]
    congvan()


if __name__ == "__main__":
    main()
