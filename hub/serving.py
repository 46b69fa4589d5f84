"""The hub by several processes of this machine: the program that prepares their folder and watches over them."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from random import Random

import structlog

from hub.app import LAST_GRACE, held
from hub.http.server import BACKLOG, address_in_use
from hub.processes import Worker, WorkerProcesses
from hub.settings import HubFolder, HubSettings
from runtime.addresses import Address
from runtime.clock import Clock, utc_now
from schemas.errors import Rejected

log = structlog.get_logger()


async def serve_by_workers(
    folder: HubFolder,
    count: int,
    stop: asyncio.Event,
    replace: asyncio.Event,
    *,
    announce: Callable[[HubSettings, Address], None],
    clock: Clock = utc_now,
) -> None:
    """Run the hub in `folder` by `count` processes until `stop` is set; `announce` is told when all serve.

    Whenever `replace` is set each is replaced by a new one, one after another. Raises `workers-need-postgresql`.
    """
    settings = folder.read_settings()
    if not settings.database.url:
        raise Rejected(
            "workers-need-postgresql",
            "Several processes cannot serve from a SQLite file, in which one writes at a time.",
            mend="Move the hub with `congvan hub db copy` and set [database] url, or leave --workers.",
        )
    async with held(folder, clock):
        with _listener(settings.hub.address) as listener:
            host, port, *_ = listener.getsockname()
            processes = WorkerProcesses(
                count,
                _command(folder),
                listener,
                grace=settings.hub.http.grace_seconds + 2 * LAST_GRACE,
                chance=Random(),
            )
            await processes.run(stop, replace, serving=lambda: announce(settings, Address(host, port)))
    log.info("hub.stopped", name=settings.hub.name)


def _command(folder: HubFolder) -> Callable[[Worker], Sequence[str]]:
    def command(worker: Worker) -> Sequence[str]:
        return (sys.executable, "-m", "congvan", "hub", "serve", "--dir", str(folder.root), "--worker", str(worker))

    return command


def _listener(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise address_in_use(address, error) from error
