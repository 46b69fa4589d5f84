"""`congvan hub init`, `serve`, `migrate`, `renew` and `restored`.

Each imports what it alone needs when it is called: other commands start a quarter sooner without a server and Alembic.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hub.cli.options import Dir, Json, actor
from hub.settings import SETTINGS_FILE, HubFolder, HubSettings
from runtime.addresses import Address
from runtime.clock import utc_now
from runtime.database_options import DatabaseCaFile, DatabasePasswordFile, DatabaseTls, DatabaseUrl, database_settings
from runtime.lifecycle import spare_what_stays, stop_on_signals, take_short_turns
from runtime.logs import configure_logs
from runtime.sd_notify import ServiceNotice, watched
from runtime.terminal import say, show_json

if TYPE_CHECKING:
    from hub.processes import Worker


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    *,
    name: Annotated[str, typer.Option(help="The hub's DNS name; it stands in every receipt, for good.")],
    listen: Annotated[str, typer.Option(help="Where nodes reach the hub, host:port.")] = "0.0.0.0:8443",
    address: Annotated[
        list[str] | None,
        typer.Option(help="A further DNS name or IP address that nodes may use; can be given several times."),
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="A file (0600) whose content encrypts the private keys.")
    ] = None,
    database: DatabaseUrl = "",
    database_password_file: DatabasePasswordFile = None,
    database_tls: DatabaseTls = "auto",
    database_ca_file: DatabaseCaFile = None,
    as_json: Json = False,
) -> None:
    """Make a hub: keys, certificates, database, the directory's first version.

    Example: [bold]congvan hub init /srv/hub --name hub.example.gov.vn --listen 0.0.0.0:8443[/bold]
    """
    from hub.initialisation import NewHub, initialise  # noqa: PLC0415 - see above

    place = HubFolder(folder)
    path = passphrase_file.resolve() if passphrase_file else None
    new = NewHub(
        name=name,
        listen=listen,
        addresses=tuple(address or ()),
        database=database_settings(database, database_password_file, database_tls, database_ca_file),
        passphrase_file=path,
        passphrase=place.passphrase(path),
    )
    settings = asyncio.run(initialise(place, new, clock=utc_now))
    if as_json:
        show_json({"folder": str(folder), "name": settings.hub.name, "url": settings.hub.public_url})
        return
    shown = escape(shlex.quote(str(folder)))
    say(f"[green]The hub {settings.hub.name} is in {escape(str(folder))}.[/green] Its settings: {SETTINGS_FILE}")
    say("Next:")
    say(f"  congvan hub serve --dir {shown}")
    say(f"  congvan hub agency add H23 --name 'UBND tỉnh Hải Dương' --dir {shown}")
    say("Back up the folder authority in it: whoever has it can let nodes in, and without it nobody can.")


def serve(
    folder: Dir = Path(),
    *,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Equal processes that serve side by side (PostgreSQL only).")
    ] = 1,
    worker: Annotated[str, typer.Option(hidden=True, help="What one of several processes is told.")] = "",
) -> None:
    """Run the hub until SIGTERM or Ctrl-C. The database is brought to the newest schema first.

    Of several processes, SIGUSR2 replaces each by a new one, one after another, and no connection is refused.

    Example: [bold]congvan hub serve --dir /srv/hub[/bold]
    """
    from hub.processes import Worker  # noqa: PLC0415 - see above

    place = HubFolder(folder)
    log = place.read_settings().log
    configure_logs(log.format, log.level)
    if worker:
        _serve_as(Worker.parse(worker), place)
    elif workers > 1:
        _watch_over(workers, place)
    else:
        _serve_alone(place)


def _serve_alone(place: HubFolder) -> None:
    import uvloop  # noqa: PLC0415 - see above

    from hub.app import serve as serve_hub  # noqa: PLC0415 - see above

    notice = ServiceNotice.from_environment()

    async def run() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            async with watched(notice, stop):
                await serve_hub(place, stop, announce=_announcing(notice))

    spare_what_stays()
    take_short_turns()
    uvloop.run(run())


def _serve_as(worker: Worker, place: HubFolder) -> None:
    import uvloop  # noqa: PLC0415 - see above
    from structlog.contextvars import bind_contextvars  # noqa: PLC0415 - see above

    from hub.app import serve as serve_hub  # noqa: PLC0415 - see above

    async def run() -> None:
        bind_contextvars(worker=worker.number)
        stop = asyncio.Event()
        with stop_on_signals(stop):
            await serve_hub(place, stop, announce=lambda *_: worker.serves(), worker=worker)

    spare_what_stays()
    take_short_turns()
    uvloop.run(run())


def _watch_over(workers: int, place: HubFolder) -> None:
    from hub.serving import serve_by_workers  # noqa: PLC0415 - see above

    notice = ServiceNotice.from_environment()

    async def run() -> None:
        stop, replace = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, replace.set)
        with stop_on_signals(stop):
            async with watched(notice, stop):
                await serve_by_workers(place, workers, stop, replace, announce=_announcing(notice))

    asyncio.run(run())


def _announcing(notice: ServiceNotice) -> Callable[[HubSettings, Address], None]:
    def announce(settings: HubSettings, address: Address) -> None:
        status = f"{settings.hub.name} is ready at https://{address}"
        say(status)
        notice.ready(status)

    return announce


def migrate(folder: Dir = Path(), as_json: Json = False) -> None:
    """Bring the database to the schema of this program; `serve` does so by itself.

    Example: [bold]congvan hub migrate --dir /srv/hub[/bold]
    """
    from hub.app import migrate as migrate_hub  # noqa: PLC0415 - see above

    before, after = asyncio.run(migrate_hub(HubFolder(folder)))
    if as_json:
        show_json({"before": before, "after": after})
    elif before == after:
        say(f"The database is at revision {after}, the newest.")
    else:
        say(f"The database was brought from revision {before or 'nothing'} to {after}.")


def renew(
    days: Annotated[int, typer.Option(help="Renew what ends within so many days.", min=1)] = 30,
    folder: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Renew the hub's own certificates, for the same keys. `serve` does so as it starts, where it may write them.

    Example: [bold]congvan hub renew --dir /srv/hub[/bold]
    """
    from hub.app import renew as renew_certificates  # noqa: PLC0415 - see above

    renewed = renew_certificates(HubFolder(folder), utc_now(), within=timedelta(days=days))
    if as_json:
        show_json({"renewed": list(renewed)})
    elif renewed:
        say(f"Renewed: {', '.join(renewed)}. Next: restart the hub, and give a proxy before it keys/tls.pem anew.")
    else:
        say(f"No certificate of the hub's own ends within {days} days.")


def restored(folder: Dir = Path(), as_json: Json = False) -> None:
    """Say that the hub's database was put back to a backup, before the hub is started again.

    Its nodes then notice a new epoch, send again what the backup may lack, and take its directory as it is now.

    Example: [bold]congvan hub restored --dir /srv/hub[/bold]
    """
    from hub.app import restored as begin  # noqa: PLC0415 - see above

    begun = asyncio.run(begin(HubFolder(folder), actor=actor()))
    if as_json:
        show_json({"epoch": begun.epoch, "before": begun.before, "directory_version": begun.directory_version})
        return
    say(f"A new epoch has begun: {begun.epoch} (before: {begun.before}; directory version {begun.directory_version}).")
    say("Next: start the hub. Its nodes send again what it may lack; connections enrolled since the backup must anew.")
