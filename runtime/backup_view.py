"""What commands show of a backup that was made, or checked."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.markup import escape

from runtime.backup import Story
from runtime.backup_check import Checked
from runtime.terminal import local_time, say, show_json


def show_backup(story: Story, target: Path, *, as_json: bool) -> None:
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


def show_check(checked: Checked, backup: Path, *, as_json: bool) -> None:
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
