"""Where a server of ours listens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port`, an IPv6 address in brackets. Raises ValueError, which names the text."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not (host and colon and port.isascii() and port.isdecimal() and int(port) < 65536):
            raise ValueError(f"{text!r} is no address: write host:port, such as 0.0.0.0:8443 or [::]:8443")
        return cls(host, int(port))

    def moved(self, ports: int) -> Self:
        """The address so many ports further on; one that the system chooses stays so."""
        return replace(self, port=self.port + ports) if self.port else self

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
