"""The commands that make and check a backup: what they take, do and show; the same for hub and node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.markup import escape

from runtime.backup import Named, Source, Story, back_up
from runtime.backup_check import Checked, check_backup
from runtime.clock import utc_now
from runtime.terminal import counting, local_time, say, show_json

Target: TypeAlias = Annotated[Path, typer.Argument(metavar="BACKUP", help="A new or empty folder.")]
Keys: TypeAlias = Annotated[bool, typer.Option("--keys", help="Take the private keys in as well.")]
Base: TypeAlias = Annotated[
    Path | None, typer.Option(help="An earlier backup on the same disk, whose attachments are linked, not copied.")
]
Backup: TypeAlias = Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder of a backup.")]


def make_backup(source: Source, target: Path, *, with_keys: bool, base: Path | None, as_json: bool) -> None:
    """Back up `source` and show what was written. Raises as `back_up` does."""
    with counting(f"Backing up the {source.program}") as count:
        story = back_up(source, target, with_keys=with_keys, base=base, now=utc_now(), count=count)
    _show_backup(story, target, as_json=as_json)


def check(backup: Path, program: str, named: Named, *, as_json: bool) -> None:
    """Read the backup of a `program` and show what was found; exits with 1 for a fault. Raises as `check_backup`."""
    with counting("Checking the backup") as count:
        checked = check_backup(backup, program, named, count=count)
    _show_check(checked, backup, as_json=as_json)


def _show_backup(story: Story, target: Path, *, as_json: bool) -> None:
    if as_json:
        show_json({"folder": str(target), **story.fields()})
        return
    say(
        f"[green]The {story.program}'s backup is in {escape(str(target))}[/green]: "
        f"{story.files} files, {story.blobs} of them attachments, {story.bytes / 1e6:.1f} MB."
    )
    if story.missing:
        say(f"{len(story.missing)} attachments were gone by then: purged meanwhile, or lost; an audit says which.")
    if story.with_keys:
        say("The private keys are in it: whoever has it can speak as this program.")
    else:
        say("The private keys are not in it: keep a copy of them elsewhere (--keys takes them in).")


def _show_check(checked: Checked, backup: Path, *, as_json: bool) -> None:
    """What was found; exits with 1 if anything is missing or was changed."""
    story = checked.story
    if as_json:
        faults = {"faults": list(checked.faults), "faults_count": checked.faults_count}
        show_json({"folder": str(backup), "whole": not checked.faults_count, **faults, **story.fields()})
    elif checked.faults_count:
        for fault in checked.faults:
            say(f"[red]{escape(fault)}[/red]")
        say(f"{checked.faults_count} faults: this backup is not to be relied on.")
    else:
        say(f"[green]The backup of {local_time(story.made_at)} is whole[/green]: {story.files} files.")
    if checked.faults_count:
        raise typer.Exit(1)
