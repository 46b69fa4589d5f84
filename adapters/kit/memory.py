"""How far the memory of this process rose, by the kernel's own high-water mark."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas.limits import KIB

_STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")


class Rise:
    """`bytes` is how far memory rose above where it stood, once the block has ended; None where that is not told."""

    def __init__(self) -> None:
        self.bytes: int | None = None


@contextlib.contextmanager
def memory_rise() -> Iterator[Rise]:
    """Measure the block. Linux tells it, and lets the mark be set back (proc(5), clear_refs)."""
    rise = Rise()
    try:
        _RESET.write_text("5", encoding="ascii")
        before = _bytes_of("VmRSS")
    except OSError:
        yield rise
        return
    yield rise
    rise.bytes = max(0, _bytes_of("VmHWM") - before)


def _bytes_of(field: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * KIB
    raise OSError(f"{_STATUS} has no {field}")
