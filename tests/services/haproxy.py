"""A real HAProxy with the configuration of `deploy/haproxy`, on loopback: for tests, the crash suite and benchmarks."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from congvan.demo.programs import Program, free_port, listening
from hub.settings import HubFolder

#: The configuration that operators are given.
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"

#: Debian keeps daemons where an ordinary user's PATH does not lead.
COMMAND = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "haproxy"


def list_proxy(hub: HubFolder, address: str) -> None:
    """Tell the hub of a proxy at `address`, as an operator does; it counts from the hub's next start."""
    text = hub.settings_file.read_text(encoding="utf-8")
    if "# addresses = []" not in text:
        raise LookupError(f"{hub.settings_file} lists proxies already, or has another form.")
    hub.settings_file.write_text(text.replace("# addresses = []", f'addresses = ["{address}"]'), encoding="utf-8")


class HAProxy:
    """HAProxy before processes of the hub `name`, whose TLS certificate in the folder `hub` it shows.

    Nodes reach it at `host`:`port`; it speaks to the hub from the address `source`. `changes` are made to the
    operators' configuration beside those of addresses.
    """

    def __init__(
        self,
        folder: Path,
        hub: HubFolder,
        *,
        name: str,
        host: str = "127.0.0.1",
        source: str = "127.0.0.7",
        changes: Mapping[str, str] | None = None,
    ) -> None:
        self.host, self.source = host, source
        self.port = free_port(host)
        self.folder = folder
        self._hub = hub
        self._name = name
        self._changes = changes or {}
        self._program = Program(("-db", "-f", str(folder / "haproxy.cfg")), folder / "haproxy.log", command=(COMMAND,))

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        """A line for each request, with the process that answered it."""
        return self._program.log

    @property
    def peak_memory(self) -> int:
        """The most bytes that it has held so far."""
        status = Path(f"/proc/{self._program.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    async def start(self, hubs: Sequence[str]) -> None:
        """Start it before the processes that listen at `hubs` (host:port) and wait until it takes connections."""
        await asyncio.to_thread(self._write, hubs)
        await self._program.start()
        await listening(self.host, self.port)

    async def stop(self) -> int:
        """End it as SIGTERM does, at once; gives its exit status."""
        return await self._program.stop()

    async def kill(self) -> None:
        """End it at once, if it runs."""
        if self._program.is_running:
            await self._program.kill()

    def _write(self, hubs: Sequence[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        keys, authority = self._hub.keys, self._hub.authority
        secret = self.folder / "tls.pem"
        secret.touch(mode=0o600)
        secret.write_bytes((keys / "tls.pem").read_bytes() + (keys / "tls.key").read_bytes())
        trusted = [(authority / f"{use}.pem").read_bytes() for use in ("root", "tls")]
        (self.folder / "authority.pem").write_bytes(b"".join(trusted))
        (self.folder / "haproxy.cfg").write_text(self._configuration(hubs), encoding="utf-8")

    def _configuration(self, hubs: Sequence[str]) -> str:
        """The operators' configuration with this place's addresses; nothing else is changed."""
        text = CONFIGURATION.read_text(encoding="utf-8")
        servers = "".join(
            f"    server hub{number} {address} source {self.source}\n" for number, address in enumerate(hubs, 1)
        )
        changes = {
            "    server hub1 10.0.0.11:8443\n    server hub2 10.0.0.12:8443\n": servers,
            "bind :8443 ": f"bind {self.host}:{self.port} ",
            "bind 127.0.0.1:8405": f"bind {self.host}:{free_port(self.host)}",
            "/etc/haproxy/congvan": str(self.folder),
            "hub.example.gov.vn": self._name,
            # As root HAProxy would raise the limit for itself, but not past what a container may have.
            "maxconn 60000": f"maxconn {min(60_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100)}",
            **self._changes,
        }
        if os.geteuid() != 0:
            # Only root can become another user.
            changes |= {"    user haproxy\n": "", "    group haproxy\n": ""}
        for old, new in changes.items():
            if old not in text:
                raise LookupError(f"{CONFIGURATION} does not have {old!r} any longer.")
            text = text.replace(old, new)
        return text
