"""A wrong clock: libfaketime in a real process, its offset in a file that can change while the process runs.

The monotonic clock runs on as it is, as on a machine whose clock is set.
"""

from __future__ import annotations

from pathlib import Path

from schemas.errors import Unavailable

#: Where Debian's package `faketime` puts the library, whatever the machine's architecture.
_LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"
_WAITS = (b"pthread_cond_timedwait", b"pthread_cond_init", b"pthread_cond_destroy")


def library() -> Path:
    """The library to preload; raises `faketime-missing`."""
    found = sorted(Path("/").glob(_LIBRARIES.lstrip("/")))
    if not found:
        raise Unavailable(
            "faketime-missing",
            "There is no libfaketime on this machine, and clocks are to jump.",
            mend="Run `make crash`, which installs it, or install Debian's package `faketime`.",
        )
    return found[0]


def preloadable(folder: Path) -> Path:
    """A copy of the library in `folder`, without its wrappers of condition variables.

    Python waits for its interpreter lock on one, by the monotonic clock, which is not faked: through the wrappers a
    daemon takes four times its processor time. They are taken out by names that nobody looks for; the first occurrence
    of a name in the file is that in the table of exported symbols.
    """
    content = library().read_bytes()
    for name in _WAITS:
        content = content.replace(b"\0" + name + b"\0", b"\0" + b"_" * len(name) + b"\0", 1)
    copy = folder / "libfaketime.so"
    copy.write_bytes(content)
    return copy


class WrongClock:
    """The clock of one program that has `library` preloaded."""

    def __init__(self, file: Path, library: Path) -> None:
        self._file = file
        self._library = library
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """What the program needs in its environment to go by this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Each process reads the file so often, in seconds.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Times of files are the disk's.
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """From now on the program's clock is `seconds` ahead, or behind."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._file)
