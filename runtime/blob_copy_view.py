"""How a copy of blobs is shown: the same for hub and node."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from runtime.blob_copy import BlobCopy, copy_folder
from runtime.blobs import BlobStore
from runtime.terminal import counting, say, show_json


async def copy_attachments(folder: Path, blobs: BlobStore, owner: str) -> BlobCopy:
    """Copy the attachments in `folder` to `blobs`, `owner`'s, with their number on the terminal meanwhile."""
    with counting("Copying attachments") as count:
        return await copy_folder(folder, blobs, owner, began=count.begin, advanced=count.advance)


def show_copy(copy: BlobCopy, *, as_json: bool) -> None:
    """Show what was copied; ends the command with 1 if a blob was damaged."""
    if as_json:
        show_json(asdict(copy))
    else:
        say(f"{copy.copied} attachments copied ({copy.copied_bytes / 1e6:.1f} MB), {copy.present} were there already.")
        for digest in copy.damaged:
            say(f"[red]Damaged in the folder, not copied:[/red] {digest}")
    if copy.damaged:
        raise typer.Exit(1)
