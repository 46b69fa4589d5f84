"""What of a node is backed up."""

from __future__ import annotations

from typing import Any, Final

from node.settings import NodeFolder
from node.store import messages
from node.store.metadata import Transaction
from runtime.backup import Source, require_file

#: How a backup names the program that it is of.
PROGRAM: Final = "node"
#: The attachments that a database needs as files.
NAMED: Final = messages.named_files


def backup_source(folder: NodeFolder) -> Source:
    """The database, the attachments and the settings of a node; its keys are secret.

    What adapters keep is theirs: a drop put back would be filed once more. Raises as `NodeFolder.read_settings`,
    `require_file`.
    """
    settings = folder.read_settings()

    def told(_transaction: Transaction) -> dict[str, Any]:
        return {"hub": settings.hub.url}

    return Source(
        program=PROGRAM,
        root=folder.root,
        database=require_file(folder.database(settings.database)),
        blobs=None if settings.blobs.url else folder.blobs / "blobs",
        plain=(folder.settings_file,),
        secret=(folder.keys,),
        named=NAMED,
        told=told,
    )
