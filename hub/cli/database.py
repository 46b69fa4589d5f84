"""`congvan hub db`: where the state lies."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.options import Dir, Json
from hub.settings import HubFolder
from runtime.database_options import DatabaseCaFile, DatabasePasswordFile, DatabaseTls, database_settings
from runtime.postgres_address import DatabaseSettings
from runtime.terminal import counting, say, show_json

app = typer.Typer(no_args_is_help=True)


@app.callback()
def database() -> None:
    """Where the state lies: in a SQLite file, or on a PostgreSQL server."""


@app.command()
def copy(
    *,
    to: Annotated[str, typer.Option(metavar="URL", help="An empty database, postgresql://user@host:5432/name.")],
    folder: Dir = Path(),
    password_file: DatabasePasswordFile = None,
    tls: DatabaseTls = "auto",
    ca_file: DatabaseCaFile = None,
    as_json: Json = False,
) -> None:
    """Copy the state of a stopped hub from its SQLite file to an empty PostgreSQL database.

    All or nothing: rows and balance are compared before the copy becomes valid. The file and the settings stay as they
    are. Afterwards put the lines that are printed into congvan.toml, and start the hub.

    Example: [bold]congvan hub db copy --to postgresql://congvan@db.example.gov.vn/hub --password-file
    /etc/congvan/hub-database --dir /srv/hub[/bold]
    """
    from hub.db_copy import copy_database  # noqa: PLC0415 - Alembic is for this command alone

    target = database_settings(to, password_file, tls, ca_file)
    with counting("Copying rows") as count:
        moved = asyncio.run(copy_database(HubFolder(folder), target, began=count.begin, advanced=count.advance))
    if as_json:
        show_json(
            {
                "tables": moved.tables,
                "rows": moved.rows,
                "balances": moved.balance.balances,
                "overall": asdict(moved.balance.overall),
                "database": _settings(target),
            }
        )
        return
    say(f"[green]{moved.rows} rows of {moved.tables} tables were copied.[/green] Rows and balance are the same there.")
    say("Next: put this into congvan.toml in place of its \\[database], and start the hub:\n")
    # Not by `say`, which would break a long line.
    typer.echo("[database]")
    for key, value in _settings(target).items():
        typer.echo(f"{key} = {json.dumps(value)}")


def _settings(target: DatabaseSettings) -> dict[str, Any]:
    return target.model_dump(mode="json", exclude_defaults=True)
