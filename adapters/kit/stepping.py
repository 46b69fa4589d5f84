"""Stopping a hand-over in the middle: at its awaits in this process, at its system calls in one that is killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from types import FrameType
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

#: Calls after which something is different for whoever comes after a crash, by the names that Python gives them.
_STEPS: Final = frozenset(
    {
        *("open", "write", "truncate", "ftruncate", "fsync", "fdatasync"),
        *("rename", "replace", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "chmod", "fchmod"),
        *("execute", "executemany", "commit", "send", "sendall", "sendmsg", "sendto"),
    }
)


@types.coroutine
def stepped(work: Coroutine[Any, Any, _T], at_each: Callable[[], None]) -> Generator[Any, Any, _T]:
    """`await stepped(work, f)` is `await work`, with `f` called whenever it comes to wait for something."""
    resume: Callable[[Any], Any] = work.send
    value: Any = None
    while True:
        try:
            waited_for = resume(value)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]  # what a generator ends with has no type of its own
        at_each()
        try:
            value = yield waited_for
            resume = work.send
        except BaseException as error:  # noqa: BLE001 - it is passed on
            value, resume = error, work.throw


class Steps:
    """Counts the steps of this process from `watch` on; dies before the one numbered `last`, as under SIGKILL."""

    def __init__(self, last: int | None) -> None:
        self.taken = 0
        self._last = last
        self._lock = threading.Lock()

    def watch(self) -> None:
        """Watch this thread, and those that begin from now on."""
        threading.setprofile(self._seen)
        sys.setprofile(self._seen)

    def _seen(self, frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or called.__name__ not in _STEPS or _is_own(frame):
            return
        with self._lock:
            self.taken += 1
            if self.taken == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


def _is_own(frame: FrameType) -> bool:
    """Whether the kit itself calls, or the event loop wakes itself."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.startswith("adapters.kit") or frame.f_code.co_name == "_write_to_self"
