"""`congvan node init`, `serve` and `migrate`."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from certs.enrolment_token import EnrolmentToken
from node.app import serve as serve_node
from node.cli.options import Dir, Json
from node.foundation import migrate as migrate_node
from node.initialisation import NewNode, initialise
from node.settings import SETTINGS_FILE, NodeFolder
from node.usecases.enrolment import KeyType
from runtime.clock import utc_now
from runtime.database_options import DatabaseCaFile, DatabasePasswordFile, DatabaseTls, DatabaseUrl, database_settings
from runtime.lifecycle import spare_what_stays, stop_on_signals, take_short_turns
from runtime.logs import configure_logs
from runtime.sd_notify import ServiceNotice, watched
from runtime.terminal import say, show_json


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    *,
    hub: Annotated[str, typer.Option(metavar="URL", help="The hub's address, https://name:port.")],
    token: Annotated[str, typer.Option(help="The one-time token from the hub's operator.", envvar="CONGVAN_TOKEN")],
    address: Annotated[str, typer.Option(metavar="IP", help="The IP address of this machine to speak from.")] = "",
    connect_to: Annotated[
        str, typer.Option(metavar="IP", help="The hub's IP address, where its name is in no DNS.")
    ] = "",
    key_type: Annotated[KeyType, typer.Option(help="RSA of 2048 bits, or P-256.")] = KeyType.RSA,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="A file (0600) whose content encrypts the private keys.")
    ] = None,
    database: DatabaseUrl = "",
    database_password_file: DatabasePasswordFile = None,
    database_tls: DatabaseTls = "auto",
    database_ca_file: DatabaseCaFile = None,
    as_json: Json = False,
) -> None:
    """Make a node: its keys, its certificates from the hub, its first copy of the agency directory.

    If it breaks off, run it again with the same token: it goes on.

    Example: [bold]congvan node init /srv/node --hub https://hub.example.gov.vn:8443 --token congvan1.…[/bold]
    """
    place = NodeFolder(folder)
    passphrase_path = passphrase_file.resolve() if passphrase_file else None
    new = NewNode(
        hub=hub,
        token=EnrolmentToken.parse(token),
        address=address,
        connect_to=connect_to,
        key_type=key_type,
        database=database_settings(database, database_password_file, database_tls, database_ca_file),
        passphrase_file=passphrase_path,
        passphrase=place.passphrase(passphrase_path),
    )
    _, answer = asyncio.run(initialise(place, new, clock=utc_now))
    if as_json:
        show_json(
            {
                "folder": str(folder),
                "connection": answer.connection,
                "name": answer.name,
                "codes": answer.codes,
                "hub": answer.hub.name,
            }
        )
        return
    shown = escape(shlex.quote(str(folder)))
    codes = ", ".join(answer.codes) or "no agency yet"
    say(f"[green]The node of {escape(answer.name)} ({codes}) is in {escape(str(folder))}.[/green]")
    say(f"Its settings: {SETTINGS_FILE}. It exchanges through {escape(answer.hub.name)}.")
    say("Next:")
    say(f"  congvan node serve --dir {shown}")
    say(f"  congvan node status --dir {shown}")
    say(f"What is dropped into {shown}/filedrop/out is sent; what arrives appears in {shown}/filedrop/in.")


def serve(folder: Dir = Path()) -> None:
    """Run the node until SIGTERM or Ctrl-C. The database is brought to the newest schema first.

    Example: [bold]congvan node serve --dir /srv/node[/bold]
    """
    place = NodeFolder(folder)
    log = place.read_settings().log
    configure_logs(log.format, log.level)

    notice = ServiceNotice.from_environment()

    async def run() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            async with watched(notice, stop):
                await serve_node(place, stop, announce=lambda name: notice.ready(f"The node of {name} is ready"))

    spare_what_stays()
    take_short_turns()
    asyncio.run(run())


def migrate(folder: Dir = Path(), as_json: Json = False) -> None:
    """Bring the database to the schema of this program; `serve` does so by itself.

    Example: [bold]congvan node migrate --dir /srv/node[/bold]
    """
    before, after = asyncio.run(migrate_node(NodeFolder(folder)))
    if as_json:
        show_json({"before": before, "after": after})
    elif before == after:
        say(f"The database is at revision {after}, the newest.")
    else:
        say(f"The database was brought from revision {before or 'nothing'} to {after}.")
