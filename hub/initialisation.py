"""Making a hub: folder, keys, database, first version of the directory; what was cut short is begun anew."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from certs.keys import fingerprint
from hub.settings import HubFolder, HubSettings
from hub.store import directory, state
from hub.store.metadata import Transaction
from hub.store.schema import MIGRATIONS
from hub.usecases.authority import HubKeys, create_keys, open_keys
from hub.usecases.directory import DirectoryPublisher
from runtime.clock import Clock
from runtime.database import open_database
from runtime.files import make_private_folder, storage_errors, sync_folder, write_file
from runtime.locks import exclusive
from runtime.migrations import upgrade
from runtime.postgres_address import DatabaseSettings
from runtime.settings import settings_of
from runtime.settings_file import settings_text
from schemas.directory import AnchorEntry
from schemas.errors import Rejected, Unavailable

#: What a folder can hold and still be empty to a person: a disk of its own has this.
_NOTHING: Final = frozenset({"lost+found"})

_HEADING: Final = """\
Settings of this hub. A line that begins with # shows a default; take the # away to change it.
Restart the hub after a change. CONGVAN_HUB__HUB__LISTEN in the environment stands above [hub] listen, and so on."""


@dataclass(frozen=True, slots=True)
class NewHub:
    """What a hub is made from. `addresses`: names and IP addresses, beside the name, for the TLS certificate."""

    name: str
    listen: str
    addresses: tuple[str, ...] = ()
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    passphrase_file: Path | None = None
    passphrase: bytes | None = field(default=None, repr=False)


async def initialise(folder: HubFolder, new: NewHub, *, clock: Clock) -> HubSettings:
    """Make a hub in `folder`; gives its settings.

    A try that was cut short is begun anew: nothing of it was known to anybody. Raises `hub-exists`, `folder-in-use`,
    `database-in-use`, `init-running`, `settings-invalid`.
    """
    table: dict[str, object] = {"name": new.name, "listen": new.listen}
    if new.passphrase_file is not None:
        table["passphrase_file"] = new.passphrase_file
    settings = settings_of(HubSettings, {"hub": table, "database": new.database}, source="The new hub")
    with _unfinished(folder) as epoch:
        now = clock()
        create_keys(
            folder.authority,
            folder.keys,
            name=new.name,
            addresses=new.addresses,
            now=now,
            passphrase=new.passphrase,
        )
        keys = open_keys(folder.authority, folder.keys, name=new.name, passphrase=new.passphrase)
        await _fill_database(folder, settings, keys, epoch, now)
        for made in (folder.authority, folder.keys, folder.data, folder.root):
            sync_folder(made)
        write_file(folder.settings_file, settings_text(settings, heading=_HEADING).encode())
    return settings


@contextmanager
def _unfinished(folder: HubFolder) -> Iterator[str]:
    """Mark the folder as one in which a hub is being made, until one is; gives the epoch that all its tries have."""
    mark = folder.initialisation_mark
    make_private_folder(folder.root)
    with storage_errors(folder.root):
        found = {entry.name for entry in folder.root.iterdir()} - _NOTHING
    if folder.settings_file.name in found:
        raise Rejected(
            "hub-exists",
            f"{folder.root} holds a hub already.",
            mend="Choose another folder, or go on with `congvan hub serve`.",
        )
    if found and mark.name not in found:
        raise Rejected(
            "folder-in-use",
            f"{folder.root} is not empty: {', '.join(sorted(found)[:5])}.",
            mend="Choose an empty folder, or a new one.",
        )
    busy = Unavailable("init-running", f"Another `hub init` is at work in {folder.root}.", mend="Wait for it.")
    with exclusive(mark, busy):
        if folder.settings_file.exists():
            raise Rejected("hub-exists", f"{folder.root} holds a hub already.")
        with storage_errors(folder.root):
            for half_made in (folder.authority, folder.keys, folder.data):
                if half_made.exists():
                    shutil.rmtree(half_made)
            make_private_folder(folder.data)
            epoch = mark.read_text() or secrets.token_hex(8)
            mark.write_text(epoch)
        yield epoch
        with storage_errors(mark):
            mark.unlink()


async def _fill_database(folder: HubFolder, settings: HubSettings, keys: HubKeys, epoch: str, now: datetime) -> None:
    publisher = DirectoryPublisher(keys.directory, timedelta(days=settings.hub.directory.valid_days))
    seals = keys.authority.seals.certificate

    def begin(transaction: Transaction) -> None:
        _make_room(transaction, epoch)
        state.begin(transaction, name=settings.hub.name, epoch=epoch, at=now)
        anchor = AnchorEntry(certificate=seals.public_bytes(Encoding.DER), prefixes=("",))
        directory.put_anchor(transaction, fingerprint(seals), anchor.certificate, anchor.prefixes, at=now)
        publisher.publish(transaction, now, anchors=(anchor,))

    async with open_database(folder.database(settings.database)) as database:
        await upgrade(database, MIGRATIONS)
        await database.write(begin)


def _make_room(transaction: Transaction, epoch: str) -> None:
    """Forget what an earlier try left in a server's database, known by its epoch; another hub's is refused."""
    found = state.find(transaction)
    if found is not None and found.epoch != epoch:
        raise Rejected(
            "database-in-use",
            f"The database holds the hub {found.name} already.",
            mend="Give the new hub a database of its own (`createdb`).",
        )
    if found is not None:
        directory.forget(transaction)
        state.forget(transaction)
