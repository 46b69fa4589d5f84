"""Hub and node run under what their units restrict, by the kernel's own means (tests/deploy/confined.py)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from congvan.demo.programs import COMMAND
from tests.deploy.confined import NOBODY
from tests.programs import exchange

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"

pytestmark = [pytest.mark.programs, pytest.mark.privileged, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

#: What a program that was taken over might try, and what it is answered.
ATTEMPTS = """
import ctypes, json, mmap, os, socket, sys
from pathlib import Path

state, *foreign = map(Path, sys.argv[1:])

def tried(act):
    try:
        act()
    except OSError as error:
        return os.strerror(error.errno)
    return "done"

(state / "program").touch()
lines = Path("/proc/self/status").read_text().splitlines()
print(json.dumps({
    "state": tried(lambda: (state / "file").write_text("x")),
    "disk": tried(lambda: Path("/etc/congvan-test").write_text("x")),
    "foreign": [path.exists() for path in foreign],
    "netlink": tried(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "executable": tried(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)),
    "set-user-id": tried(lambda: (state / "program").chmod(0o4700)),
    "processes": [int(name) - os.getpid() for name in os.listdir("/proc") if name.isdigit()],
    "unshare": ctypes.CDLL(None).unshare(0x20000),
    "user": os.getresuid(),
    "rights": dict(line.split(":\t") for line in lines if line.startswith(("CapBnd", "CapEff", "Seccomp:", "NoNew"))),
}))
"""


def confined(unit: str, state: Path) -> tuple[str, ...]:
    """The command that runs what follows it as `unit` would, with the folder `state` as its own."""
    launcher = (sys.executable, str(Path(__file__).with_name("confined.py")), str(UNITS / unit), str(state))
    return ("unshare", "--mount", "--ipc", *launcher)


def test_the_confinement_confines(tmp_path: Path) -> None:
    """Under the hub's unit nothing but its own folder is written, nothing of others is seen, and no door is opened."""
    with tempfile.NamedTemporaryFile(dir="/tmp") as foreign, tempfile.NamedTemporaryFile(dir="/home") as at_home:
        program = (sys.executable, "-c", ATTEMPTS, str(tmp_path), foreign.name, at_home.name)
        command = (*confined("congvan-hub.service", tmp_path), *program)
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    refused = "Operation not permitted"
    assert json.loads(ended.stdout) == {
        "state": "done",
        "disk": "Read-only file system",
        "foreign": [False, False],
        "netlink": refused,
        "executable": "Permission denied",
        "set-user-id": refused,
        "processes": [0],
        "unshare": -1,
        "user": [NOBODY] * 3,
        "rights": {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"},
    }


@pytest.mark.timeout(300)
async def test_documents_pass_through_confined_programs(tmp_path: Path) -> None:
    """Hub and a node, each under its unit, exchange a document with attachment, and tell their service manager all."""
    site = exchange.site(tmp_path)
    for name, unit in (("hub", "congvan-hub.service"), ("node-G22", "congvan-node.service")):
        site.launchers[name] = (*confined(unit, tmp_path / name), *COMMAND)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        # An abstract name is there for whoever shares the network, whatever of the disk it sees.
        manager.bind("")
        manager.setblocking(False)
        site.environment["NOTIFY_SOCKET"] = "@" + manager.getsockname()[1:].decode()
        await site.set_up()
        try:
            await site.start_nodes()
            exchange.drop(site, 1, content=b"%PDF-" + bytes(300_000))
            await exchange.settled(site, 1)
        finally:
            await site.stop()
        said = []
        while (word := _heard(manager)) is not None:
            said.append(word)
    assert sum(word.startswith("READY=1") for word in said) == 3, said
    assert said.count("STOPPING=1") == 3


def _heard(manager: socket.socket) -> str | None:
    try:
        return manager.recv(4096).decode()
    except BlockingIOError:
        return None
