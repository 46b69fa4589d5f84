"""Where a RabbitMQ is, and how one shows who one is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from yarl import URL

from runtime.files import storage_errors
from schemas.errors import Rejected

#: AMQP's own ports.
_PORTS: Final = {"amqp": 5672, "amqps": 5671}


def parse_broker_url(text: str) -> URL:
    """`amqp(s)://user@host:port/vhost`. Raises ValueError, which names nothing of a password."""
    url = URL(text)
    if url.scheme not in _PORTS or not url.host:
        raise ValueError("it is no broker's address: write amqps://user@host/vhost")
    if url.password:
        raise ValueError("a password does not belong into the address: put it into password_file")
    if not url.user:
        raise ValueError("it names no user: write amqps://user@host/vhost")
    if url.query_string or url.fragment:
        raise ValueError("nothing may follow the vhost")
    return url


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker to connect to; the password is in no text made of this."""

    url: URL
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str, password: bytes, ca_file: Path | None) -> Self:
        """The broker at `url`. With amqps its certificate is checked against `ca_file`, or the system's authorities.

        Raises `broker-authority` if `ca_file` holds no certificates, `broker-password` if the password is no text.
        """
        address = parse_broker_url(url)
        try:
            secret = password.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Rejected("broker-password", "The broker's password is not UTF-8.", mend="Write it anew.") from error
        return cls(address, secret, _tls(ca_file) if address.scheme == "amqps" else None)

    @property
    def host(self) -> str:
        return self.url.host or ""

    @property
    def port(self) -> int:
        return self.url.port or _PORTS[self.url.scheme]

    @property
    def vhost(self) -> str:
        """AMQP's name of the virtual host: `/` if the address names none."""
        return self.url.path[1:] or "/"

    def __str__(self) -> str:
        return f"{self.url.scheme}://{self.host}:{self.port} ({self.vhost})"


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    if ca_file is None:
        return ssl.create_default_context()
    with storage_errors(ca_file):
        authority = ca_file.read_text(encoding="ascii", errors="replace")
    try:
        return ssl.create_default_context(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        raise Rejected(
            "broker-authority",
            f"{ca_file} holds no certificate.",
            mend="Put the authority of the broker's certificate there, as PEM.",
        ) from error
