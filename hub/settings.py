"""Settings of the hub: `DIR/congvan.toml` as one frozen model. `hub init` writes the file with every key explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from hub.settings_alerts import AlertSettings
from hub.settings_broker import BrokerSettings
from hub.settings_exchange import ExchangeSettings
from hub.settings_units import UnitSettings
from runtime.addresses import Address
from runtime.blob_settings import BlobSettings
from runtime.logs import LogSettings
from runtime.passphrases import read_passphrase
from runtime.postgres_address import DatabaseSettings, PostgresAddress
from runtime.settings import Settings, load_settings
from schemas.errors import Rejected

#: The settings file in a hub's folder.
SETTINGS_FILE = "congvan.toml"

#: `CONGVAN_HUB__HUB__LISTEN` in the environment stands above `listen` of the table `[hub]`.
ENVIRONMENT_PREFIX = "CONGVAN_HUB"

#: A hub's name is the DNS name in its TLS certificate and stands in every receipt.
HubName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$")]


def _listed(value: object) -> object:
    # The environment has texts alone: 10.0.0.10,10.0.0.20
    return [part.strip() for part in value.split(",")] if isinstance(value, str) and value else value or ()


#: Addresses or networks, as a list; in the environment with commas between them.
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_listed)]


class HttpSettings(Settings):
    """What one HTTP connection may take."""

    idle_seconds: float = Field(90.0, ge=5)
    """How long a connection without a request stays open. Longer than the 75 seconds that a node keeps one."""
    header_bytes: int = Field(16 * 1024, ge=8 * 1024, le=256 * 1024)
    """The longest header field, and the longest request line."""
    grace_seconds: float = Field(20.0, ge=0, le=600)
    """How long requests under way may take to end when the hub is stopped."""


class EnrolmentSettings(Settings):
    """How nodes are let in."""

    token_days: int = Field(7, ge=1, le=90)
    """How long a one-time token can be used."""
    failures_per_minute: int = Field(10, ge=1, le=10_000)
    """Wrong tokens that one address may try in a minute before it has to wait."""


class DirectorySettings(Settings):
    """The signed agency directory."""

    valid_days: int = Field(30, ge=1, le=365)
    """How long a version is valid. Nodes warn when the newest that they have is not valid any longer."""
    renew_days: int = Field(10, ge=0, le=180)
    """A new version is signed when the newest one has less than this left, whether anything changed or not."""

    @model_validator(mode="after")
    def _renewed_while_valid(self) -> Self:
        if self.renew_days >= self.valid_days:
            raise ValueError("renew_days must be less than valid_days: else every look would sign a new version")
        return self


class ProxySettings(Settings):
    """A proxy before the hub that terminates TLS and hands on the client's certificate in Client-Cert (RFC 9440)."""

    addresses: Networks = ()
    """Addresses or networks of the proxies. From elsewhere Client-Cert, X-Forwarded-For mean nothing. Empty: none."""

    @field_validator("addresses")
    @classmethod
    def _not_everybody(cls, networks: Sequence[IPv4Network | IPv6Network]) -> Sequence[IPv4Network | IPv6Network]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("a network of all addresses lets anybody speak as any node: list the proxies' own")
        return networks


class OperationsSettings(Settings):
    """Health and metrics for the operator's own monitoring."""

    listen: str = ""
    """A second listener, plain HTTP, for /healthz, /readyz with details and /metrics: 127.0.0.1:9464. Empty: none."""
    metrics_from: Networks = ()
    """Addresses or networks that may read /metrics on the public listener. Empty: nobody."""

    @field_validator("listen")
    @classmethod
    def _is_address(cls, text: str) -> str:
        if text:
            Address.parse(text)
        return text

    @property
    def address(self) -> Address | None:
        return Address.parse(self.listen) if self.listen else None


class HubTable(Settings):
    """The exchange."""

    name: HubName
    """The hub's DNS name. It stands in certificates and in every receipt: it cannot be changed after `hub init`."""
    listen: str = "0.0.0.0:8443"
    """Where nodes reach the hub, as host:port."""
    url: str = ""
    """The address that nodes are told to use. Empty: https://, the name, and the port of `listen`."""
    passphrase_file: Path | None = None
    """A file (0600) with the passphrase of the private keys; relative to the folder. Empty: keys are not encrypted."""
    http: HttpSettings = HttpSettings()
    enrolment: EnrolmentSettings = EnrolmentSettings()
    directory: DirectorySettings = DirectorySettings()
    units: UnitSettings = UnitSettings()
    proxy: ProxySettings = ProxySettings()
    operations: OperationsSettings = OperationsSettings()

    @field_validator("listen")
    @classmethod
    def _is_address(cls, text: str) -> str:
        Address.parse(text)
        return text

    @field_validator("passphrase_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def address(self) -> Address:
        return Address.parse(self.listen)

    @property
    def public_url(self) -> str:
        return self.url or f"https://{self.name}:{self.address.port}"


class HubSettings(Settings):
    """All settings of a hub."""

    hub: HubTable
    exchange: ExchangeSettings = ExchangeSettings()
    alerts: AlertSettings = AlertSettings()
    database: DatabaseSettings = DatabaseSettings()
    blobs: BlobSettings = BlobSettings()
    broker: BrokerSettings = BrokerSettings()
    log: LogSettings = LogSettings()


@dataclass(frozen=True, slots=True)
class HubFolder:
    """Where a hub keeps what: settings, database, attachments and keys, below one folder."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / SETTINGS_FILE

    @property
    def initialisation_mark(self) -> Path:
        """Stands here while a hub is made. The settings file is written last: with it the hub is whole."""
        return self.root / ".initialising"

    @property
    def serving_lock(self) -> Path:
        return self.data / "serving.lock"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def database(self, settings: DatabaseSettings) -> Path | PostgresAddress:
        """Where the state is: on the server of `settings`, or in a file. Raises as `read_password` does."""
        return settings.place(self.root, self.data / "hub.db")

    def doorbell(self, worker: int = 0) -> Path:
        """The doorbell of the one process of the hub, or of one of several by its number."""
        return self.data / (f"doorbell.{worker}" if worker else "doorbell")

    def doorbells(self) -> Iterator[Path]:
        return self.data.glob("doorbell*")

    @property
    def authority(self) -> Path:
        return self.root / "authority"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    def passphrase(self, file: Path | None) -> bytes | None:
        """The passphrase of the keys, from `file` (relative to the folder); raises as `read_passphrase` does."""
        return read_passphrase(self.root / file) if file else None

    def read_settings(self) -> HubSettings:
        """Raises `hub-unfinished` or `hub-missing` for a folder without a (whole) hub, else as `load_settings`."""
        if self.initialisation_mark.exists() and not self.settings_file.exists():
            raise Rejected(
                "hub-unfinished",
                f"The making of the hub in {self.root} was cut short.",
                mend="Run the same `congvan hub init` again: it begins anew.",
            )
        if not self.settings_file.is_file():
            raise Rejected(
                "hub-missing",
                f"{self.root} holds no hub.",
                mend="Give its folder with --dir (or CONGVAN_HUB_DIR), or make one with `congvan hub init`.",
            )
        return load_settings(HubSettings, self.settings_file, environment_prefix=ENVIRONMENT_PREFIX)
