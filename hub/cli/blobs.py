"""`congvan hub blobs`: where attachments lie."""

from __future__ import annotations

from pathlib import Path

import typer

from hub.cli.options import Dir, Json, with_hub
from hub.foundation import Foundation
from runtime.blob_copy import BlobCopy, copy_folder
from runtime.blob_copy_view import show_copy
from runtime.terminal import Count, counting

app = typer.Typer(no_args_is_help=True)


@app.callback()
def blobs() -> None:
    """Where attachments lie: in the folder, or on object storage."""


@app.command()
def copy(folder: Dir = Path(), as_json: Json = False) -> None:
    """Copy the attachments in the folder to the bucket that the settings name.

    Stop the hub, set the bucket, copy, start it again. Broken off, it goes on with what is not there yet. The
    folder stays as it is. Exits with 1 if an attachment in the folder is damaged.

    Example: [bold]congvan hub blobs copy --dir /srv/hub[/bold]
    """
    with counting("Copying attachments") as count:
        copied = with_hub(folder, lambda hub: _copy(hub, count))
    show_copy(copied, as_json=as_json)


async def _copy(hub: Foundation, count: Count) -> BlobCopy:
    return await copy_folder(hub.folder.data, hub.blobs, hub.blobs_owner, began=count.begin, advanced=count.advance)
