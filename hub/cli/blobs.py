"""`congvan hub blobs`: where attachments lie."""

from __future__ import annotations

from pathlib import Path

import typer

from hub.cli.options import Dir, Json, with_hub
from runtime.blob_copy_view import copy_attachments, show_copy

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
    copied = with_hub(folder, lambda hub: copy_attachments(hub.folder.data, hub.blobs, hub.blobs_owner))
    show_copy(copied, as_json=as_json)
