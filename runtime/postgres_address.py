"""Where a PostgreSQL database is and how it is reached; the table `[database]` of hub and node."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from runtime.files import storage_errors
from runtime.passphrases import read_password
from runtime.settings import Settings
from schemas.errors import Rejected

_PORT: Final = 5432

#: How a connection is encrypted. `auto`: not to this machine itself, else as `verify`.
TlsMode: TypeAlias = Literal["auto", "verify", "off"]

_PathOrNothing = Annotated[Path | None, BeforeValidator(lambda value: value or None)]


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database on a server. `host` is a name, an address, or the folder of a Unix socket."""

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    tls: TlsMode = "auto"
    ca_file: Path | None = None
    readers: int = 8

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `postgresql://user@host:5432/name`; raises ValueError, which never shows a password."""
        form = "write postgresql://user@host:5432/name"
        try:
            parts = urlsplit(url)
            port = parts.port or _PORT
        except ValueError:
            raise ValueError(f"this is no address of a database: {form}") from None
        if parts.scheme != "postgresql":
            raise ValueError(
                f"{parts.scheme or 'nothing'} names no database here: {form}, or leave it empty for SQLite"
            )
        if parts.password is not None:
            raise ValueError("a password stands in the address, where others can read it: put it into password_file")
        if not parts.username or not parts.hostname or not parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f"user, host or name is missing, or something follows the name: {form}")
        # A socket's folder is written as libpq has it: %2Fvar%2Frun%2Fpostgresql. urlsplit lowers a host's letters.
        host = parts.netloc.rpartition("@")[2].rpartition(":")[0] if parts.port else parts.netloc.rpartition("@")[2]
        return cls(unquote(host).strip("[]"), port, unquote(parts.username), unquote(parts.path[1:]))

    @property
    def is_on_this_machine(self) -> bool:
        """True for a Unix socket and a loopback address."""
        if self.host.startswith("/") or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def tls_context(self) -> ssl.SSLContext | None:
        """How the server is verified: its name, and its certificate under `ca_file` or what the system trusts."""
        if self.tls == "off" or (self.tls == "auto" and self.is_on_this_machine):
            return None
        if self.ca_file is None:
            return ssl.create_default_context()
        with storage_errors(self.ca_file):
            try:
                return ssl.create_default_context(cafile=self.ca_file)
            except ssl.SSLError as error:
                raise Rejected(
                    "database-authority",
                    f"{self.ca_file} holds no certificate in PEM.",
                    mend="Let [database] ca_file name the authority of the server's certificate.",
                ) from error

    def __str__(self) -> str:
        return f"{self.database} on {self.host}:{self.port}"


class DatabaseSettings(Settings):
    """Where the state is kept: a SQLite file in the folder, or a PostgreSQL server (docs/operations.md)."""

    url: str = ""
    """postgresql://user@host:5432/name, without a password. Empty: a SQLite file in the folder."""
    password_file: _PathOrNothing = None
    """A file (0600) with the user's password; relative to the folder. Empty: the server asks for none."""
    tls: TlsMode = "auto"
    """How the server is reached: "verify" (encrypted, certificate and name verified), "off", or "auto": "off" on this
    machine, "verify" to another."""
    ca_file: _PathOrNothing = None
    """The authority of the server's certificate, as PEM; relative to the folder. Empty: what the system trusts."""
    connections: int = Field(8, ge=1, le=200)
    """How many connections one process reads by, beside those that it writes by."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, text: str) -> str:
        if text:
            PostgresAddress.parse(text)
        return text

    @model_validator(mode="after")
    def _of_a_server(self) -> Self:
        if not self.url and (self.password_file or self.ca_file):
            raise ValueError("password_file and ca_file belong to a server: set url, or leave them out")
        return self

    def place(self, folder: Path, file: Path) -> Path | PostgresAddress:
        """What to open: `file` if no server is named. Paths lie in `folder`. Raises as `read_password` does."""
        if not self.url:
            return file
        address = PostgresAddress.parse(self.url)
        return PostgresAddress(
            host=address.host,
            port=address.port,
            user=address.user,
            database=address.database,
            password=read_password(folder / self.password_file) if self.password_file else None,
            tls=self.tls,
            ca_file=folder / self.ca_file if self.ca_file else None,
            readers=self.connections,
        )
