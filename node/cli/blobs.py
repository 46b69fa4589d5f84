"""`congvan node blobs`: where attachments lie."""

from __future__ import annotations

from pathlib import Path

import typer

from node.cli.options import Dir, Json, with_node
from runtime.blob_copy_view import copy_attachments, show_copy

app = typer.Typer(no_args_is_help=True)


@app.callback()
def blobs() -> None:
    """Where attachments lie: in the folder, or on object storage."""


@app.command()
def copy(folder: Dir = Path(), as_json: Json = False) -> None:
    """Copy the attachments in the folder to the bucket that the settings name.

    Stop the node, set the bucket, copy, start it again. Broken off, it goes on with what is not there yet. The
    folder stays as it is. Exits with 1 if an attachment in the folder is damaged.

    Example: [bold]congvan node blobs copy --dir /srv/node[/bold]
    """
    copied = with_node(folder, lambda node: copy_attachments(node.folder.blobs, node.blobs, node.blobs_owner))
    show_copy(copied, as_json=as_json)
