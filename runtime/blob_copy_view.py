"""How a copy of blobs is shown: the same for hub and node."""

from __future__ import annotations

from dataclasses import asdict

import typer

from runtime.blob_copy import BlobCopy
from runtime.terminal import say, show_json


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
