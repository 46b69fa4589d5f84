"""Settings of a node: `DIR/congvan.toml` as one frozen model. `node init` writes the file with every key explained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from yarl import URL

from node.settings_exchange import ExchangeSettings
from node.store.recovered import RECOVERED
from node.usecases.identity import COMMAND_ADAPTER, OWN_ADAPTER
from runtime.addresses import Address
from runtime.blob_settings import BlobSettings
from runtime.logs import LogSettings
from runtime.passphrases import read_passphrase
from runtime.postgres_address import DatabaseSettings, PostgresAddress
from runtime.settings import Settings, load_settings
from schemas.errors import Rejected
from schemas.limits import MIB

#: The settings file in a node's folder.
SETTINGS_FILE = "congvan.toml"

#: `CONGVAN_NODE__HUB__URL` in the environment stands above `url` of the table `[hub]`.
ENVIRONMENT_PREFIX = "CONGVAN_NODE"

#: An adapter's name is that of its folder and that under which its submissions are known.
_ADAPTER_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TAKEN_NAMES = frozenset({"data", "keys", OWN_ADAPTER, COMMAND_ADAPTER, RECOVERED})


def _hub_url(text: str) -> str:
    url = URL(text.rstrip("/"))
    if url.scheme != "https" or not url.host or url.path not in ("", "/") or url.query_string or url.user:
        raise ValueError(f"{text!r} is no hub's address: write https://name:port")
    return str(url.origin())


def _ip_address_or_nothing(text: str) -> str:
    return str(ip_address(text)) if text else ""


def _address_or_nothing(text: str) -> str:
    return str(Address.parse(text)) if text else ""


def _guard_tables(tables: dict[str, Any]) -> dict[str, Any]:
    for name, table in tables.items():
        if not _ADAPTER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a guard: take small letters, digits and -")
        if not isinstance(table, Mapping | Settings):
            raise ValueError(f"{name} is no table: write [guards.{name}]")
    return tables


def _adapter_tables(tables: dict[str, Any]) -> dict[str, Any]:
    for name, table in tables.items():
        if not _ADAPTER_NAME.fullmatch(name) or name in _TAKEN_NAMES:
            raise ValueError(f"{name!r} cannot name an adapter: take small letters, digits and -, and another word")
        if not isinstance(table, Mapping | Settings):
            raise ValueError(f"{name} is no table: write [adapters.{name}]")
    return tables


HubUrl = Annotated[str, AfterValidator(_hub_url)]
IpAddress = Annotated[str, AfterValidator(_ip_address_or_nothing)]
PathOrNothing = Annotated[Path | None, BeforeValidator(lambda value: value or None)]


class HubTable(Settings):
    """The hub that this node exchanges through."""

    url: HubUrl
    """Its address, https://name:port. The name must be that in the hub's certificate."""
    connect_to: IpAddress = ""
    """The IP address to connect to, where the hub's name is in no DNS. Empty: where the name leads."""
    source_address: IpAddress = ""
    """The IP address of this machine to speak from. Empty: the system chooses."""


class OperationsTable(Settings):
    """Health and metrics for your own monitoring."""

    listen: Annotated[str, AfterValidator(_address_or_nothing)] = ""
    """Where /healthz, /readyz and /metrics are answered, plain HTTP: 127.0.0.1:9465. Empty: nowhere."""

    @property
    def address(self) -> Address | None:
        return Address.parse(self.listen) if self.listen else None


class PushTable(Settings):
    """A listener for a node that its hub can reach: the hub pushes mail as it comes (`hub connection push`)."""

    listen: Annotated[str, AfterValidator(_address_or_nothing)] = ""
    """Where pushes are taken, over TLS, from this node's hub alone: 0.0.0.0:8444. Empty: nowhere; mail is fetched."""
    batches: Annotated[int, Field(ge=1, le=64)] = 2
    """How many pushes are worked on at once; the hub is asked to come again with others."""
    body_bytes: Annotated[int, Field(ge=MIB, le=256 * MIB)] = 64 * MIB
    """The longest push. A third more than the hub's answer_bytes, at least."""
    silence_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """How long the hub may say nothing in the middle of a push."""
    trust_seconds: Annotated[float, Field(ge=1, le=24 * 3600)] = 180.0
    """So long after a push another one is relied on; then the node fetches as if there were none."""
    poll_seconds: Annotated[float, Field(ge=1, le=24 * 3600)] = 300.0
    """How often mail is fetched as well while pushes come."""

    @property
    def address(self) -> Address | None:
        return Address.parse(self.listen) if self.listen else None


class NodeTable(Settings):
    """This node."""

    passphrase_file: PathOrNothing = None
    """A file (0600) with the passphrase of the private keys; relative to the folder. Empty: keys are not encrypted."""
    grace_seconds: Annotated[float, Field(ge=0, le=600)] = 20.0
    """How long work under way may take to end when the node is stopped."""
    push: PushTable = PushTable()
    operations: OperationsTable = OperationsTable()


class NodeSettings(Settings):
    """All settings of a node.

    `adapters` holds a table for each adapter that is to run. Its key `adapter` says which one, if that is not the
    table's own name; the adapter reads the rest. `guards` holds a table for each guard, in the same way.
    """

    hub: HubTable
    node: NodeTable = NodeTable()
    exchange: ExchangeSettings = ExchangeSettings()
    database: DatabaseSettings = DatabaseSettings()
    blobs: BlobSettings = BlobSettings()
    log: LogSettings = LogSettings()
    guards: Annotated[dict[str, Any], AfterValidator(_guard_tables)] = Field(default_factory=dict)
    adapters: Annotated[dict[str, Any], AfterValidator(_adapter_tables)] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """Where a node keeps what: settings, database, attachments and keys, below one folder."""

    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / SETTINGS_FILE

    @property
    def initialisation_mark(self) -> Path:
        """Stands here while a node is made. The settings file is written last: with it the node is whole."""
        return self.root / ".initialising"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def blobs(self) -> Path:
        return self.data / "blobs"

    def database(self, settings: DatabaseSettings) -> Path | PostgresAddress:
        """Where the record is: on the server of `settings`, or in a file. Raises as `read_password` does."""
        return settings.place(self.root, self.data / "node.db")

    @property
    def doorbell(self) -> Path:
        return self.data / "doorbell"

    @property
    def serving_lock(self) -> Path:
        return self.data / "serving.lock"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    def adapter(self, name: str) -> Path:
        """The folder of the adapter `name`."""
        return self.root / name

    def passphrase(self, file: Path | None) -> bytes | None:
        """The passphrase of the keys, from `file` (relative to the folder); raises as `read_passphrase` does."""
        return read_passphrase(self.root / file) if file else None

    def read_settings(self) -> NodeSettings:
        """Raises `node-unfinished` or `node-missing` for a folder without a (whole) node, else as `load_settings`."""
        if not self.settings_file.is_file():
            if self.initialisation_mark.exists():
                raise Rejected(
                    "node-unfinished",
                    f"The making of the node in {self.root} was cut short.",
                    mend="Run the same `congvan node init` again, with the same token: it goes on.",
                )
            raise Rejected(
                "node-missing",
                f"{self.root} holds no node.",
                mend="Give its folder with --dir (or CONGVAN_NODE_DIR), or make one with `congvan node init`.",
            )
        return load_settings(NodeSettings, self.settings_file, environment_prefix=ENVIRONMENT_PREFIX)
