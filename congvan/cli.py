"""The `congvan` command. A program is imported when it is called, so that help and completion answer at once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from runtime.terminal import run_program


@dataclass(frozen=True, slots=True)
class Program:
    """A part of the command: the module whose `app` (typer) it is, and what help says of it."""

    module: str
    summary: str


PROGRAMS = {
    "hub": Program("hub.cli", "Run the exchange and admit agencies: for the national or provincial operator."),
    "node": Program("node.cli", "Run an agency's node: send, receive, see what is stuck and why."),
    "envelope": Program("congvan.envelope", "Show, check, pack, unpack, seal and verify edXML files."),
    "evidence": Program("congvan.evidence", "Verify a file that proves what became of a document, anywhere, offline."),
    "audit": Program("congvan.audit", "Audit a hub and nodes, and check them against each other."),
    "adapter": Program("congvan.adapter", "Write an adapter to an agency's software, and check it."),
    "demo": Program("congvan.demo", "Watch a document travel: a hub and three agencies on this machine."),
}


class DeferredProgram(TyperGroup):
    """Stands in help for a program that is not imported yet, and becomes it when it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        app: typer.Typer = import_module(PROGRAMS[str(self.name)].module).app
        return typer.main.get_command(app).make_context(info_name, args, parent=parent, **extra)


class Programs(TyperGroup):
    """The programs as subcommands."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002 - typer vendors the base's type
        return list(PROGRAMS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> DeferredProgram | None:  # type: ignore[override]  # noqa: ARG002 - as above
        program = PROGRAMS.get(cmd_name)
        return DeferredProgram(name=cmd_name, help=program.summary) if program else None


app = typer.Typer(cls=Programs, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_show_locals=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"congvan {metadata.version('congvan')}")
        raise typer.Exit


@app.callback()
def congvan(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Exchange of signed official documents between agencies."""


def main() -> NoReturn:
    """The entry point of the installed command."""
    run_program(app)


if __name__ == "__main__":
    main()
