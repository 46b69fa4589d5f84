"""A real clamd of a test's own: own folder, own signatures, a Unix socket and a port; nothing left when it ends.

Its database is one line that knows EICAR's test file and one that knows a text of the tests' own, so that no download
and no quarter of an hour is needed. EICAR's file is put together when it is asked for: no scanner finds it in here.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from runtime.addresses import Address

_PROGRAM: Final = "/usr/sbin/clamd"
_PATIENCE: Final = 60.0

#: What the test's own signature knows, and its name.
OWN_MALWARE: Final = b"Congvan's own test of a signature, harmless to anyone"
OWN_NAME: Final = "Congvan.Test.Own.UNOFFICIAL"

#: clamd's own limit on a stream.
STREAM_BYTES: Final = 16 * 1024 * 1024


def eicar() -> bytes:
    """The 68 bytes that every scanner calls a virus (eicar.org)."""
    return b"".join((b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!", b"$H+H*"))


class ClamdServer:
    """One clamd; started by `start`, or as a context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "clamd.ctl"
        self.address = Address("127.0.0.1", _free_port())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, or start it again; returns when it answers."""
        database = self._folder / "database"
        database.mkdir(parents=True, exist_ok=True)
        (database / "own.ndb").write_text(
            f"Congvan.Test.Own:0:*:{OWN_MALWARE.hex()}\nCongvan.Test-Eicar:0:0:{eicar().hex()}\n"
        )
        settings = self._folder / "clamd.conf"
        settings.write_text(
            f"DatabaseDirectory {database}\nLocalSocket {self.socket}\nFixStaleSocket yes\n"
            f"TCPSocket {self.address.port}\nTCPAddr {self.address.host}\n"
            f"Foreground yes\nTemporaryDirectory {self._folder}\nStreamMaxLength {STREAM_BYTES}\n"
            # No user is named: as root it stays root, and needs none of Debian's.
            "MaxThreads 2\nSelfCheck 3600\n"
        )
        with (self._folder / "clamd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_PROGRAM, f"--config-file={settings}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(5)
                asking.connect(str(self.socket))
                asking.sendall(b"zPING\0")
                if asking.recv(16) == b"PONG\0":
                    return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"clamd did not start:\n{(self._folder / 'clamd.log').read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None
        self.socket.unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port
