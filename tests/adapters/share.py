"""A folder as a network share gives it: the system's calls below it answer errors when they are told to."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Fault:
    """The call `name` on a path that ends with `path` answers `error`, `times` times, the first `passed` ones not.

    `done`: the server did it all the same; only its answer was lost.
    """

    name: str
    path: str
    error: int
    times: int = 1
    done: bool = False
    passed: int = 0
    met: int = 0


class Share:
    """Stands before the calls of `os` that filedrop makes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, str]] = []
        for name in ("open", "rename", "replace", "stat", "scandir", "mkdir", "chmod", "fchmod", "fsync"):
            patch.setattr(os, name, self._standing_before(name, getattr(os, name)))

    def fail(self, name: str, path: str, error: int, *, times: int = 1, done: bool = False, passed: int = 0) -> Fault:
        """Have a call fail; gives the fault, whose `met` counts how often it came to that."""
        self.faults.append(Fault(name, path, error, times, done, passed))
        return self.faults[-1]

    def count(self, name: str) -> int:
        return sum(call == name for call, _ in self.calls)

    def _standing_before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def answer(first: Any, *rest: Any, **named: Any) -> Any:
            path = _path(first)
            self.calls.append((name, path))
            fault = self._fault(name, path)
            if fault is None:
                answered = call(first, *rest, **named)
                return _Entries(answered, self) if name == "scandir" else answered
            fault.times -= 1
            fault.met += 1
            if fault.done:
                call(first, *rest, **named)
            raise OSError(fault.error, os.strerror(fault.error), path)

        return answer

    def _fault(self, name: str, path: str) -> Fault | None:
        fault = next((one for one in self.faults if one.name == name and one.times and path.endswith(one.path)), None)
        if fault is not None and fault.passed:
            fault.passed -= 1
            return None
        return fault


class _Entries:
    """A listing whose entries answer faults of `stat` as well."""

    def __init__(self, entries: Any, share: Share) -> None:
        self._entries = entries
        self._share = share

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> Any:
        return _Entry(next(self._entries), self._share)


class _Entry:
    def __init__(self, entry: os.DirEntry[str], share: Share) -> None:
        self._entry = entry
        self._share = share
        self.name = entry.name
        self.path = entry.path

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        for fault in self._share.faults:
            if fault.name == "entry.stat" and fault.times and self.name == fault.path:
                fault.times -= 1
                fault.met += 1
                raise OSError(fault.error, os.strerror(fault.error), self.path)
        return self._entry.stat(follow_symlinks=follow_symlinks)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def is_symlink(self) -> bool:
        return self._entry.is_symlink()

    def __fspath__(self) -> str:
        return self.path


def _path(argument: Any) -> str:
    if isinstance(argument, int):
        try:
            return str(Path(f"/proc/self/fd/{argument}").readlink())
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, "")
    return os.fsdecode(os.fspath(argument))
