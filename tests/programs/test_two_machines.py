"""The README's first document between two machines, command by command, through the wheel's `congvan`."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from congvan.demo.programs import listening
from tests.programs import exchange

ROOT = Path(__file__).parents[2]

#: The machines: their addresses, all on loopback. Each has a /srv, an /etc/hosts and a working folder of its own.
ADDRESSES = {"hub": "127.0.0.2", "g22": "127.0.0.3", "h23": "127.0.0.4"}

#: What this test adds to the README's commands, so that three machines fit on one.
ADDITIONS = {
    "hub init": ["--listen", "127.0.0.2:8443"],
    "g22 init": ["--address", ADDRESSES["g22"]],
    "h23 init": ["--address", ADDRESSES["h23"]],
}


def readme_commands() -> list[tuple[str, str]]:
    """The (machine, command) pairs of the README's block."""
    block = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    pairs = [line.split("$ ", 1) for line in block[1].splitlines()]
    return [(machine, command) for machine, command in pairs]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the `congvan` command that a fresh venv got from the wheel alone."""
    folder = tmp_path_factory.mktemp("installed")
    _quietly(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT)
    _quietly(sys.executable, "-m", "venv", folder / "venv")
    pip = (folder / "venv/bin/python", "-m", "pip", "install", "--quiet")
    _quietly(*pip, "--require-hashes", "-r", ROOT / "requirements/runtime.txt")
    (wheel,) = folder.glob("*.whl")
    _quietly(*pip, "--no-deps", wheel)
    return folder / "venv/bin"


def _quietly(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Machine:
    """A mount namespace with its own /srv, /etc/hosts and working folder, and nothing of the other machines."""

    def __init__(self, name: str, folder: Path, path: Path) -> None:
        self.name = name
        self.folder = folder / name
        (self.folder / "srv").mkdir(parents=True)
        (self.folder / "work").mkdir()
        hosts = self.folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{ADDRESSES['hub']} hub.example.gov.vn\n")
        self._enter = (
            f"mount --bind {shlex.quote(str(self.folder / 'srv'))} /srv"
            f" && mount --bind {shlex.quote(str(hosts))} /etc/hosts && cd {shlex.quote(str(self.folder / 'work'))}"
        )
        self._environment = {"PATH": f"{path}:/usr/bin:/bin", "LANG": "C.UTF-8"} | {
            key: value for key, value in os.environ.items() if key == "HOME"
        }
        self.daemons: list[subprocess.Popen[bytes]] = []

    def run(self, command: str, **environment: str) -> str:
        """Run a command of the README to its end; gives what it printed."""
        ended = subprocess.run(
            self._command(command), env=self._environment | environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}: {ended.stderr}"
        return ended.stdout

    def start(self, command: str) -> None:
        with (self.folder / "log").open("ab") as log:
            daemon = subprocess.Popen(
                self._command("exec " + command), env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self.daemons.append(daemon)

    def _command(self, command: str) -> list[str]:
        return ["unshare", "--mount", "sh", "-c", f"{self._enter} && {command}"]


@pytest.fixture
def machines(tmp_path: Path, installed: Path) -> Iterator[dict[str, Machine]]:
    made = {name: Machine(name, tmp_path, installed) for name in ADDRESSES}
    yield made
    for machine in made.values():
        for daemon in machine.daemons:
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(60) == 0


@pytest.mark.programs
@pytest.mark.privileged
@pytest.mark.timeout(300)
async def test_the_readmes_commands_carry_a_document(machines: dict[str, Machine]) -> None:
    """Under ten commands, on three machines that share no folder, bring a document from G22 to H23."""
    commands = readme_commands()
    assert len(commands) < 10
    tokens: dict[str, str] = {}
    content = b"%PDF-1.4 the first document"
    (machines["g22"].folder / "work" / "letter.pdf").write_bytes(content)
    for machine, command in commands:
        words = command.split()
        extra = shlex.join(ADDITIONS.get(f"{machine} {words[2]}", []))
        if command.endswith("&"):
            machines[machine].start(command.removesuffix("&"))
            if machine == "hub":
                await listening(ADDRESSES["hub"], 8443)
            continue
        output = await asyncio.to_thread(machines[machine].run, f"{command} {extra}", **tokens)
        if token := re.search(r"congvan1\.\S+", output):
            tokens[f"TOKEN_OF_{words[4]}"] = token[0]
    received = machines["h23"].folder / "srv/node/filedrop/in"

    async def arrived() -> bool:
        return len(list(received.glob("[!.]*/attachments/letter.pdf"))) == 1

    await exchange.until(arrived, "the document to stand in H23's folder")
    (letter,) = received.glob("*/attachments/letter.pdf")
    assert letter.read_bytes() == content
    shown = machines["h23"].run("congvan node inbox --dir /srv/node --json")
    assert "Văn bản đầu tiên" in shown
