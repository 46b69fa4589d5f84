"""What of a hub is backed up."""

from __future__ import annotations

from typing import Any, Final

from hub.settings import HubFolder
from hub.store import blobs, state
from hub.store.metadata import Transaction
from runtime.backup import Source, require_file

#: How a backup names the program that it is of.
PROGRAM: Final = "hub"
#: The attachments that a database needs as files.
NAMED: Final = blobs.named_files


def backup_source(folder: HubFolder) -> Source:
    """The database, the attachments and the settings of a hub; its keys, and the files of secrets in it, are secret.

    Raises as `HubFolder.read_settings` and `require_file`.
    """
    settings = folder.read_settings()
    named = (settings.alerts.webhook.secret_file, settings.blobs.credentials_file, settings.broker.password_file)
    secrets = (folder.authority, folder.keys, *(folder.root / file for file in named if file is not None))
    return Source(
        program=PROGRAM,
        root=folder.root,
        database=require_file(folder.database(settings.database)),
        blobs=None if settings.blobs.url else folder.data / "blobs",
        plain=(folder.settings_file,),
        secret=tuple(path for path in secrets if path.is_relative_to(folder.root)),
        named=NAMED,
        told=_told,
    )


def _told(transaction: Transaction) -> dict[str, Any]:
    hub = state.find(transaction)
    return {} if hub is None else {"hub": hub.name, "epoch": hub.epoch}
