"""A real S3 server for tests: SeaweedFS's `weed server`, on ports and in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runtime.blob_settings import BlobSettings

#: Seconds that the server has to answer: its parts find each other first, and the machine may be busy.
_PATIENCE: Final = 90.0

ACCESS_KEY: Final = "congvan-tests"
SECRET_KEY: Final = "a-secret-of-the-tests-alone"
#: The bucket that tests share.
BUCKET: Final = "attachments"


@dataclass
class SeaweedFs:
    """The server whose data lie in `folder`; it keeps its ports and its data from one start to the next."""

    folder: Path
    _ports: list[int] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until S3 answers."""
        self._ports = self._ports or _free_ports(8)
        self.folder.mkdir(parents=True, exist_ok=True)
        identities = self.folder / "identities.json"
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        identities.write_text(json.dumps({"identities": [identity]}))
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
        names += ("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc")
        ports = [f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)]
        command = [
            str(Path(sys.executable).with_name("weed")),
            f"-logdir={self.folder}",
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={data}",
            "-master.volumeSizeLimitMB=64",
            "-master.volumePreallocate=false",
            "-master.telemetry=false",
            "-volume.max=20",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",
            f"-s3.config={identities}",
            *ports,
        ]
        with (self.folder / "log").open("ab") as log:
            # A group of its own, so that nothing it starts is left behind; nothing of the tests' own environment.
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env={"PATH": os.defpath}, start_new_session=True
            )
        self._await_answer()

    @property
    def endpoint(self) -> str:
        """Where S3 is spoken."""
        return f"http://127.0.0.1:{self._ports[6]}"

    def settings(self, folder: Path, prefix: str, **changed: object) -> BlobSettings:
        """Settings that select the prefix; the file of credentials is written into `folder`."""
        file = folder / "object-storage.toml"
        file.touch(0o600)
        file.write_text(f'access_key_id = "{ACCESS_KEY}"\nsecret_access_key = "{SECRET_KEY}"\n')
        values = {"url": f"s3://{BUCKET}/{prefix}", "endpoint": self.endpoint, "credentials_file": file}
        return BlobSettings.model_validate(values | {"timeout_seconds": 30} | changed)

    def make_bucket(self, name: str) -> None:
        """Have the bucket `name`; its folder among the buckets is what SeaweedFS knows one by."""
        url = f"http://127.0.0.1:{self._ports[4]}/buckets/{name}/"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10):
            pass

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it answer nothing, its connections open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait(20)
        self._process = None
        kinds = ("master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc", "s3", "s3-grpc")
        for kind, port in zip(kinds, self._ports, strict=True):
            Path(f"/tmp/seaweedfs-{kind}-{port}.sock").unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _await_answer(self) -> None:
        ends_at = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > ends_at:
                text = (self.folder / "log").read_text(errors="replace")
                self.kill()
                raise RuntimeError(f"weed did not start:\n{text[-4000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether S3 answers, and its volumes can be assigned: else the first write of a test would fail."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/status", timeout=2):
                pass
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[0]}/dir/assign", timeout=2) as answer:
                return "fid" in json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return False


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFs]:
    """A server that runs until the block ends."""
    server = SeaweedFs(folder)
    server.start()
    try:
        yield server
    finally:
        # In order it would take twenty seconds.
        server.kill()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
