"""Options of commands that name a PostgreSQL server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.postgres_address import DatabaseSettings
from runtime.settings import settings_of

DatabaseUrl = Annotated[
    str,
    typer.Option(
        metavar="URL", help="An empty PostgreSQL database, postgresql://user@host:5432/name. Else SQLite in the folder."
    ),
]
DatabasePasswordFile = Annotated[
    Path | None, typer.Option(help="A file (0600) with the password of the user of the database.")
]

DatabaseTls = Annotated[
    str,
    typer.Option(
        metavar="auto|verify|off", help="Whether the way to it is encrypted; auto: not on this machine, else verified."
    ),
]
DatabaseCaFile = Annotated[
    Path | None, typer.Option(help="The authority (PEM) of its certificate. Else what the system trusts.")
]


def database_settings(
    url: str, password_file: Path | None, tls: str, ca_file: Path | None, *, source: str = "--database"
) -> DatabaseSettings:
    """The table `[database]` for these options; raises `settings-invalid`, naming `source`."""
    table = {
        "url": url,
        "password_file": password_file.resolve() if password_file else None,
        "tls": tls,
        "ca_file": ca_file.resolve() if ca_file else None,
    }
    return settings_of(DatabaseSettings, table, source=source)
