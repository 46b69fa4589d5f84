"""The machine under the figures: time of the processor, memory, and who else was at work. Linux's /proc says it."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")

#: Others may have this share of the machine before a run says that it was not alone.
QUIET: Final = 0.1


def processor_seconds(pid: int) -> float:
    """What the process `pid` and its descendants have used of the processors, in user space and in the kernel."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    used = sum(int(fields[place]) for place in (11, 12, 13, 14)) / _TICKS
    return used + sum(processor_seconds(child) for child in children(pid))


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that run."""
    found: list[int] = []
    for task in (_PROC / str(pid) / "task").iterdir():
        found += (int(child) for child in (task / "children").read_text().split())
    return found


def memory(pid: int) -> int:
    """The memory that the process `pid` has at this moment (its resident set), in bytes."""
    return _status(pid, "VmRSS")


def peak_memory(pid: int) -> int:
    """The most memory that the process `pid` had since `forget_peak`, in bytes."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak of the process `pid` be what it has now (proc(5), clear_refs)."""
    (_PROC / str(pid) / "clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise LookupError(f"/proc/{pid}/status has no {name}")


@dataclass(frozen=True, slots=True)
class Watch:
    """From a moment on: how busy the machine is, and by whom."""

    started: float
    busy: float
    own: float
    load: tuple[float, float, float]

    @classmethod
    def begin(cls) -> Watch:
        return cls(time.monotonic(), _busy_seconds(), _own_seconds(), os.getloadavg())

    def others(self) -> float:
        """The share of all processors that other programs used since; ours must have ended to be known as ours."""
        passed = (time.monotonic() - self.started) * (os.cpu_count() or 1)
        return max(0.0, _busy_seconds() - self.busy - (_own_seconds() - self.own)) / passed

    def warning(self) -> str | None:
        """What to tell who reads the figures, if the machine was not this run's own."""
        others = self.others()
        if others <= QUIET:
            return None
        return (
            f"Other programs used {others:.0%} of the machine meanwhile (load average {self.load[0]:.1f} at the start):"
            " rates and latencies are worse than they would be, and the spread is wide."
        )


def _busy_seconds() -> float:
    """What all programs have used of all processors since the machine was started."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = (
        int(field) for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / _TICKS


def _own_seconds() -> float:
    """What this process has used, and those of its descendants that have ended."""
    usages = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def description() -> dict[str, Any]:
    """The machine, for who compares figures."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in (_PROC / "cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "processors": os.cpu_count(),
        "model": model,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
