"""A `congvan` command that dies at a chosen point of its way: `python -m tests.programs.faults CONTROL ARGUMENT…`.

CONTROL is a file. `before 3` in it means: be killed (SIGKILL) right before the third step from now; `after 3`: right
after it. A step is a commit of the database, an fsync, or a rename. `count FILE` appends the name of each step to
FILE instead; `without file`, `without folder` or `without database` leaves that sync out. The file can change while the
program runs; an absent or empty file orders nothing. Nothing in the programs knows of this: the steps are wrapped from
outside.
"""

from __future__ import annotations

import os
import signal
import stat
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

    def leaves_out(self, sync: str) -> bool:
        """True if the file orders that `sync` be left out."""
        return self._path.exists() and self._path.read_text().split() == ["without", sync]

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
            if not self._order or self._order[0] == "without":
                return None
            if self._order[0] == "count":
                with open(self._order[1], "a") as steps:  # noqa: PTH123 - Path.open would be a wrapped step's neighbour
                    steps.write(f"{name}\n")
                return None
            self._steps += 1
            return self._order[0] if self._steps == int(self._order[1]) else None


def unless_left_out(control: Control, fsync: Callable[[int], None]) -> Callable[[int], None]:
    def wrapped(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        if not control.leaves_out(kind):
            fsync(descriptor)

    return wrapped


def careless(control: Control, create: Callable[..., sqlalchemy.Engine]) -> Callable[..., sqlalchemy.Engine]:
    """Engines whose connections do not sync, if that is ordered when they are made."""

    def wrapped(*args: Any, **kwargs: Any) -> sqlalchemy.Engine:
        engine = create(*args, **kwargs)
        if control.leaves_out("database"):
            sqlalchemy.event.listen(
                engine, "checkout", lambda connection, *_: connection.execute("PRAGMA synchronous=OFF").close()
            )
        return engine

    return wrapped


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    control = Control(Path(sys.argv[1]))
    sqlalchemy.Connection.commit = control.around("commit", sqlalchemy.Connection.commit)  # type: ignore[method-assign]  # the point of this module
    os.fsync = unless_left_out(control, control.around("fsync", os.fsync))
    sqlalchemy.create_engine = careless(control, sqlalchemy.create_engine)  # type: ignore[assignment]  # as above
    Path.replace = control.around("rename", Path.replace)  # type: ignore[method-assign]  # as above
    Path.rename = control.around("rename", Path.rename)  # type: ignore[method-assign]  # as above
    os.replace = control.around("rename", os.replace)
    os.rename = control.around("rename", os.rename)
    from congvan.cli import main as congvan

    sys.argv = ["congvan", *sys.argv[2:]]
    congvan()


if __name__ == "__main__":
    main()
