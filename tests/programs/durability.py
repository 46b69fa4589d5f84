"""Reads an strace of the hub: was everything on the disk before the answer's first byte left?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: What is traced. `-yy` names the file or the two ends of the connection behind each descriptor.
STRACE = (
    "strace",
    "-f",
    "-yy",
    "-qq",
    "--seccomp-bpf",
    "-e",
    "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg,rename,renameat,renameat2",
)

_CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")


@dataclass(frozen=True, slots=True)
class Step:
    """One system call, where it returned; a write to a connection where it began, for its bytes may be gone by then."""

    name: str
    text: str


def read_trace(path: Path) -> list[Step]:
    """The calls of a trace in the order that matters here."""
    pending: dict[str, tuple[str, str]] = {}
    steps: list[Step] = []
    for line in path.read_text(errors="replace").splitlines():
        if resumed := _RESUMED.match(line):
            name, begun = pending.pop(resumed["thread"], (resumed["name"], ""))
            if not _is_answer(begun):
                steps.append(Step(name, begun + resumed["rest"]))
        elif call := _CALL.match(line):
            rest = call["rest"]
            if rest.endswith("<unfinished ...>"):
                pending[call["thread"]] = (call["name"], rest)
                if _is_answer(rest):
                    steps.append(Step(call["name"], rest))
            else:
                steps.append(Step(call["name"], rest))
    return steps


def _is_answer(text: str) -> bool:
    return re.match(r"\d+<TCP(v6)?:\[", text) is not None


def missing_syncs(steps: Sequence[Step], digest: str) -> list[str]:
    """What was not synced when the last answer began to leave, of a submission with the attachment `digest`.

    The trace must end with that answer: kill the hub when it has come.
    """
    answer = max(number for number, step in enumerate(steps) if _is_answer(step.text))
    before = steps[:answer]
    missing = []
    placed = [number for number, step in enumerate(before) if step.name.startswith("rename") and digest in step.text]
    if not placed:
        return ["the blob was not placed at all"]
    upload = re.search(r'"([^"]*/uploads/[^"]*)"', before[placed[-1]].text)
    assert upload is not None
    if not any(step.name in ("fsync", "fdatasync") and upload[1] in step.text for step in before[: placed[-1]]):
        missing.append("the blob's bytes")
    folder = f"/{digest[:2]}/{digest[2:4]}>"
    if not any(step.name == "fsync" and folder in step.text for step in before[placed[-1] :]):
        missing.append("the blob's folder")
    logged = [number for number, step in enumerate(before) if step.name == "pwrite64" and "-wal>" in step.text]
    if not any(step.name in ("fsync", "fdatasync") and "-wal>" in step.text for step in before[logged[-1] :]):
        missing.append("the database")
    return missing
