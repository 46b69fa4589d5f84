"""A real RabbitMQ of a test's own: own port, node name, folder, cookie and epmd, and nothing left when it ends.

Debian's `rabbitmq-server` in the PATH wants the user `rabbitmq` and the system's folders; the script of the release
itself wants neither, and runs as whoever starts it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.keys import new_p256_key, write_key

_RELEASES: Final = Path("/usr/lib/rabbitmq/lib")
_PATIENCE: Final = 90.0
_USER: Final = "congvan"
_LOOPBACK: Final = "127.0.0.1"


class RabbitMQ:
    """One broker with a user `congvan` that owns the vhost `/`; started by `start`, or as a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"congvan-{secrets.token_hex(4)}@localhost"
        self._password = secrets.token_hex(16)
        self._epmd_port, self.port, self._tls_port, self._distribution_port = _free_ports(4)
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as `[broker] url` takes it: without the password."""
        return f"amqp://{_USER}@{_LOOPBACK}:{self.port}/%2F"

    @property
    def tls_url(self) -> str:
        """The same over TLS, with a certificate that is its own authority: `ca_file`."""
        return f"amqps://{_USER}@{_LOOPBACK}:{self._tls_port}/%2F"

    @property
    def ca_file(self) -> Path:
        return self._folder / "server.pem"

    @property
    def password_file(self) -> Path:
        return self._folder / "password"

    @property
    def full_url(self) -> str:
        """The address with its password, for a client that is not the hub."""
        return f"amqp://{_USER}:{self._password}@{_LOOPBACK}:{self.port}/%2F"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start it, or start it again with what it held; returns when it takes connections."""
        self._write_settings()
        if self._epmd is None:
            # A child of ours rather than the daemon that a node would leave behind.
            self._epmd = subprocess.Popen(
                [_program("epmd")],
                env=self._environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self._await(self._epmd, self._epmd_port)
        with (self._folder / "console.log").open("ab") as console:
            self._server = subprocess.Popen(
                [_release() / "sbin" / "rabbitmq-server"],
                env=self._environment(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._await(self._server, self.port)

    def stop(self) -> None:
        """Stop it in order; what it holds stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would; what it holds stays as it is on the disk."""
        self._end(signal.SIGKILL)

    def wipe(self) -> None:
        """Drop everything that a stopped broker holds, queues and messages alike."""
        assert self._server is None, "stop it first"
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def close(self) -> None:
        """End it and its port mapper for good."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` says. It takes seconds: a virtual machine starts for it."""
        command = [str(_release() / "sbin" / "rabbitmqctl"), "--quiet", *arguments]
        return subprocess.run(command, env=self._environment(), check=True, capture_output=True, text=True).stdout

    def _end(self, with_signal: signal.Signals) -> None:
        if self._server is None:
            return
        # Alone in its session: its helper processes end with it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._server.pid, with_signal)
        try:
            self._server.wait(_PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def _await(self, process: subprocess.Popen[bytes], port: int) -> None:
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection((_LOOPBACK, port), timeout=1):
                return
            time.sleep(0.05)
        self.close()
        console = self._folder / "console.log"
        said = console.read_text(errors="replace")[-4000:] if console.exists() else ""
        raise RuntimeError(f"RabbitMQ did not start:\n{said}")

    def _write_settings(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            _write_secret(cookie, secrets.token_hex(16))
            _write_secret(self.password_file, self._password)
            _write_certificate(self.ca_file, self._folder / "server.key")
        (self._folder / "enabled_plugins").write_text("[].\n")
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = {_LOOPBACK}:{self.port}\n"
            f"listeners.ssl.local = {_LOOPBACK}:{self._tls_port}\n"
            f"ssl_options.certfile = {self.ca_file}\n"
            f"ssl_options.keyfile = {self._folder / 'server.key'}\n"
            "ssl_options.verify = verify_none\n"
            f"default_user = {_USER}\n"
            f"default_pass = {self._password}\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "disk_free_limit.absolute = 64MB\n"
        )

    def _environment(self) -> dict[str, str]:
        home = self._folder / "home"
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": _LOOPBACK,
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            # The script then becomes the server: one process, whose signals are ours.
            "RUNNING_UNDER_SYSTEMD": "1",
            # Two schedulers that do not spin: this machine has others to serve.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }


def _release() -> Path:
    return max(_RELEASES.glob("rabbitmq_server-*"))


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(0o600)


def _write_certificate(certificate: Path, key_file: Path) -> None:
    """A certificate for this machine's own address, signed by itself, and its key."""
    key = new_p256_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "RabbitMQ of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(_LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    write_key(key_file, key, None)


def _free_ports(count: int) -> Iterator[int]:
    """Ports that are free now, all different: the sockets are held until the last one is found."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_LOOPBACK, 0))
        ports = [each.getsockname()[1] for each in sockets]
    return iter(ports)
