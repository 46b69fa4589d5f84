"""Help is written in Rich markup: what stands in brackets and is no style vanishes from it, silently."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import typer
from rich.errors import StyleSyntaxError
from rich.style import Style
from rich.text import Text

from congvan.cli import PROGRAMS, app


def commands_below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands_below(f"{path} {name}", inner)


def every_command() -> Iterator[tuple[str, Any]]:
    yield "congvan", typer.main.get_command(app)
    for name, program in PROGRAMS.items():
        yield from commands_below(f"congvan {name}", typer.main.get_command(import_module(program.module).app))


COMMANDS = tuple(every_command())


def vanished(text: str) -> list[str]:
    """What Rich takes for markup in `text` although it is no style."""
    gone = []
    for span in Text.from_markup(text).spans:
        try:
            Style.parse(str(span.style))
        except StyleSyntaxError:
            gone.append(str(span.style))
    return gone


def test_what_vanishes_is_found() -> None:
    """The name of a settings table vanishes, unless it is escaped; styles are markup."""
    assert vanished("[bold]congvan[/bold] needs [node.push] in its settings") == ["node.push"]
    assert vanished(r"needs \[node.push] in its settings") == []


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_nothing_vanishes_from_help(path: str, command: Any) -> None:
    """Every command, argument and option says in its help all that was written there."""
    written = [command.help, command.epilog, *(getattr(one, "help", None) for one in command.params)]
    assert [gone for text in written if text for gone in vanished(text)] == []
    assert len(COMMANDS) > 40, "the walk finds the commands"
