"""Run a program as a systemd unit would confine it, by the kernel's own means: there is no systemd to run the unit.

`unshare --mount --ipc python tests/deploy/confined.py UNIT STATE PROGRAM...`, as root. From here on the disk can be
read and only STATE written; /home, /root, /tmp and /dev are others; /proc shows the processes of nobody, who the user
is, without any capability. System calls are those of the unit's SystemCallFilter, with its address families, no new
namespaces, no memory that is writable and executable, no set-ID bits where it says so.

Not done: PrivateUsers, ProtectHostname, the device policy of control groups.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

NOBODY: Final = 65534

_ALLOW: Final = 0x7FFF0000
_EQ, _MASKED_EQ = 4, 7
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 24, 38, 65
#: CLONE_NEWTIME is a signal's number in clone(2), and left out as systemd does.
_NEW_NAMESPACES: Final = 0x7E020000
#: The argument that holds the mode.
_MODES: Final = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2}

Unit = Mapping[str, Sequence[str]]


def read_unit(path: Path) -> Unit:
    """The values of each key, in order."""
    values: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            values.setdefault(key, []).append(value)
    return values


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _show(unit: Unit, state: Path) -> None:
    """Make the file system what the unit lets the program see."""
    places = [Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[2]]
    # A venv inside the project comes along with it; a mount of its own would be hidden by the project's.
    code = [place for place in places if not any(other in place.parents for other in places)]
    staging = Path("/mnt")
    _mount("-t", "tmpfs", "tmpfs", staging)
    for number, path in enumerate([*code, state]):
        (staging / str(number)).mkdir()
        _mount("--bind", path, staging / str(number))
    hidden = {"ProtectHome": ("/root", "/home"), "PrivateTmp": ("/tmp", "/var/tmp")}
    for key, folders in hidden.items():
        assert unit[key] == ["yes"]
        for folder in folders:
            _mount("-t", "tmpfs", "-o", f"mode={1777 if key == 'PrivateTmp' else 755}", "tmpfs", folder)
    assert unit["PrivateDevices"] == ["yes"]
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/dev")
    for name, number in {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(1, number))
        Path(f"/dev/{name}").chmod(0o666)
    assert (unit["ProtectSystem"], unit["ProtectProc"], unit["ProcSubset"]) == (["strict"], ["invisible"], ["pid"])
    for number, path in enumerate([*code, state]):
        path.mkdir(parents=True, exist_ok=True)
        _mount("--bind", staging / str(number), path)
    _mount("-o", "remount,bind,ro", "/")
    for path in code:
        # Where STATE lies below one of them it has a mount of its own, and stays writable.
        _mount("-o", "remount,bind,ro", path)
    _mount("-t", "proc", "-o", "hidepid=invisible,subset=pid", "proc", "/proc")
    subprocess.run(["umount", "--lazy", staging], check=True)


def _become_nobody(unit: Unit, state: Path, last_capability: int) -> None:
    for path in (state, *state.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    assert (unit["CapabilityBoundingSet"], unit["NoNewPrivileges"]) == ([""], ["yes"])
    assert unit["MemoryDenyWriteExecute"] == ["yes"]
    for capability in range(last_capability + 1):
        _prctl(_PR_CAPBSET_DROP, capability)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_MDWE, 1)
    os.umask(int(unit["UMask"][0], 8))


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def calls_of(name: str) -> set[str]:
    """The system calls of a group of systemd's (`@system-service`), or the one that is named."""
    if not name.startswith("@"):
        return {name}
    said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    words = [line.strip() for line in said.stdout.splitlines()[1:]]
    return set().union(*(calls_of(word) for word in words if word and not word.startswith("#")))


def _allowed(unit: Unit) -> set[str]:
    calls: set[str] = set()
    for value in unit["SystemCallFilter"]:
        named = set().union(*(calls_of(name) for name in value.removeprefix("~").split()))
        calls = calls - named if value.startswith("~") else calls | named
    return calls


class _Comparison(ctypes.Structure):
    _fields_ = (("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def _filter(unit: Unit, calls: set[str]) -> None:
    """Let the program make only these calls, with these arguments; all others fail with EPERM."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(0x00050000 | errno.EPERM))

    def allow(name: str, *comparisons: _Comparison, action: int = _ALLOW) -> None:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return
        array = (_Comparison * len(comparisons))(*comparisons)
        added = seccomp.seccomp_rule_add_array(context, action, number, len(comparisons), array)
        assert added == 0, (name, added)

    assert unit["RestrictNamespaces"] == ["yes"]
    modes = _MODES if unit.get("RestrictSUIDSGID") == ["yes"] else {}
    for name in calls - {"socket", "clone", "clone3", "unshare", "setns", *modes}:
        allow(name)
    for family in unit["RestrictAddressFamilies"][0].split():
        allow("socket", _Comparison(0, _EQ, getattr(socket, family), 0))
    allow("clone", _Comparison(0, _MASKED_EQ, _NEW_NAMESPACES, 0))
    # Its flags lie in memory, where a filter cannot look: the library falls back to clone.
    allow("clone3", action=0x00050000 | errno.ENOSYS)
    for name, argument in modes.items():
        allow(name, _Comparison(argument, _MASKED_EQ, 0o6000, 0))
    assert seccomp.seccomp_load(context) == 0


def main() -> None:
    unit, state, program = read_unit(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]
    # Asked before the unit hides them.
    calls = _allowed(unit)
    last_capability = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    _show(unit, state)
    _become_nobody(unit, state, last_capability)
    os.chdir("/")
    _filter(unit, calls)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
