"""`congvan hub evidence`: one file that proves what became of a message."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hub.cli.options import Dir, Json, with_hub
from runtime.files import require_new_file
from runtime.terminal import say, show_json


def evidence(
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="Its message id, 8 digits of it or more, or the DocumentId.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")],
    attachments: Annotated[bool, typer.Option("--attachments", help="Put the attachments in, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there already.")] = False,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Write all that proves the life of one message into one file: envelope, receipts, proofs, certificates, directory.

    [bold]congvan evidence verify[/bold] judges it anywhere, without this hub.

    Example: [bold]congvan hub evidence 9f86d081 --out 9f86d081.zip[/bold]
    """
    if not force:
        require_new_file(out)
    manifest = with_hub(folder, lambda hub: hub.evidence.write(message, out, attachments=attachments))
    if as_json:
        show_json({"file": str(out), "message_id": manifest.message_id, "files": len(manifest.files)})
        return
    say(f"[green]{escape(str(out))}[/green] holds the evidence of {manifest.message_id}, {len(manifest.files)} files.")
