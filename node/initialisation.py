"""Making a node: enrolment, database, first copy of the directory; what was cut short goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from adapters.filedrop.settings import FiledropSettings
from certs.enrolment_token import EnrolmentToken
from certs.tls import client_context
from node.settings import NodeFolder, NodeSettings
from node.store.migrate import MIGRATIONS
from node.usecases.directory import DirectoryCopy
from node.usecases.enrolment import HubAddress, KeyFiles, KeyType, enrol, open_identity
from node.usecases.ownership import claim_database
from runtime.clock import Clock
from runtime.database import DatabasePlace, open_database
from runtime.files import make_private_folder, storage_errors, sync_folder, write_file
from runtime.locks import exclusive
from runtime.migrations import upgrade
from runtime.postgres_address import DatabaseSettings
from runtime.settings import settings_of
from runtime.settings_file import settings_text
from schemas.errors import Rejected, Unavailable
from transport.client import is_broken_off, open_hub_client
from transport.wire import EnrolmentAnswer

#: What a folder can hold and still be empty to a person: a disk of its own has this.
_NOTHING: Final = frozenset({"lost+found"})

#: How often the hub is asked when it breaks off, and the seconds before the second time, then doubled.
_TRIES: Final = 5
_FIRST_WAIT: Final = 0.25

T = TypeVar("T")

_HEADING: Final = """\
Settings of this node. A line that begins with # shows a default; take the # away to change it.
Restart the node after a change. CONGVAN_NODE__HUB__URL in the environment stands above [hub] url, and so on."""


@dataclass(frozen=True, slots=True)
class NewNode:
    """What a node is made from. `address` is the IP address it speaks from, `connect_to` that of the hub, if given."""

    hub: str
    token: EnrolmentToken
    address: str = ""
    connect_to: str = ""
    key_type: KeyType = KeyType.RSA
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    passphrase_file: Path | None = None
    passphrase: bytes | None = field(default=None, repr=False)


async def initialise(folder: NodeFolder, new: NewNode, *, clock: Clock) -> tuple[NodeSettings, EnrolmentAnswer]:
    """Make a node in `folder`; gives its settings and what the hub said it is.

    A try that was cut short goes on, with the same token. Raises `node-exists`, `folder-in-use`, `init-running`,
    `settings-invalid`, and as `enrol` does.
    """
    settings = settings_of(
        NodeSettings,
        {
            "hub": {"url": new.hub, "connect_to": new.connect_to, "source_address": new.address},
            "node": {"passphrase_file": new.passphrase_file},
            "database": new.database,
            "adapters": {"filedrop": FiledropSettings()},
        },
        source="The new node",
    )
    files = KeyFiles(folder.keys, new.passphrase)
    hub = HubAddress(settings.hub.url, settings.hub.source_address or None, settings.hub.connect_to or None)
    with _unfinished(folder, new.passphrase_file):
        answer = await _borne(lambda: enrol(files, new.token, hub, new.key_type))
        make_private_folder(folder.data)
        await _borne(lambda: _fill_database(folder.database(settings.database), files, hub, clock))
        for made in (folder.keys, folder.data, folder.root):
            sync_folder(made)
        write_file(folder.settings_file, settings_text(settings, heading=_HEADING).encode())
    return settings, answer


async def _borne(step: Callable[[], Awaitable[T]]) -> T:
    """The answer of `step`, which may be done twice; a hub that breaks off (it is just restarted) is asked again."""
    for failures in range(1, _TRIES):
        try:
            return await step()
        except Unavailable as error:
            if not is_broken_off(error):
                raise
            await asyncio.sleep(_FIRST_WAIT * 2.0 ** (failures - 1))
    return await step()


@contextmanager
def _unfinished(folder: NodeFolder, passphrase_file: Path | None) -> Iterator[None]:
    """Mark the folder as one in which a node is being made, until one is."""
    mark = folder.initialisation_mark
    make_private_folder(folder.root)
    with storage_errors(folder.root):
        found = {entry.name for entry in folder.root.iterdir() if entry.resolve() != passphrase_file} - _NOTHING
    exists = Rejected(
        "node-exists",
        f"{folder.root} holds a node already.",
        mend="Choose another folder, or go on with `congvan node serve`.",
    )
    if folder.settings_file.name in found:
        raise exists
    if found and mark.name not in found:
        raise Rejected(
            "folder-in-use",
            f"{folder.root} is not empty: {', '.join(sorted(found)[:5])}.",
            mend="Choose an empty folder, or a new one.",
        )
    busy = Unavailable("init-running", f"Another `node init` is at work in {folder.root}.", mend="Wait for it.")
    with exclusive(mark, busy):
        if folder.settings_file.exists():
            raise exists
        yield
        with storage_errors(mark):
            mark.unlink()


async def _fill_database(place: DatabasePlace, files: KeyFiles, hub: HubAddress, clock: Clock) -> None:
    identity = open_identity(files)
    tls = client_context(identity.hub_authority, files.tls_chain, files.tls_key, files.passphrase)
    async with (
        open_database(place) as database,
        open_hub_client(hub.url, tls, source_address=hub.source_address, connect_to=hub.connect_to) as client,
    ):
        await upgrade(database, MIGRATIONS)
        await claim_database(database, identity)
        await DirectoryCopy(database, identity, clock).sync(client)
