"""libxmlsec's verifier, an implementation that shares no code with ours: the program `xmlsec1`."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

from cryptography import x509

from certs.keys import write_certificates
from certs.signature_profile import XADES


def verifies(data: bytes, root: x509.Certificate, at: datetime, folder: Path) -> bool:
    """Whether libxmlsec accepts the one signature in `data`, its chain to `root` included, at the time `at`."""
    write_certificates(folder / "root.pem", [root])
    (folder / "signed.xml").write_bytes(data)
    answer = subprocess.run(
        [
            "xmlsec1",
            "--verify",
            "--id-attr:Id",
            f"{XADES}:SignedProperties",
            "--enabled-reference-uris",
            "empty,same-doc",
            "--verification-time",
            at.strftime("%Y-%m-%d %H:%M:%S"),
            "--trusted-pem",
            str(folder / "root.pem"),
            str(folder / "signed.xml"),
        ],
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode == 0:
        assert "SignedInfo References (ok/all): 2/2" in answer.stderr
    return answer.returncode == 0
