"""The adapter: messages wait in the node until their software has fetched and confirmed them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import ClassVar

import structlog

from adapters import spool
from adapters.classic_deliveries import require_writable
from adapters.listening import listening
from adapters.sdk import (
    AdapterContext,
    Awaiting,
    Delivery,
    Guarantee,
    Health,
    MessageKind,
    Never,
    NodeApi,
    Outcome,
)
from adapters.vxp.agencies import Agencies
from adapters.vxp.bodies import Bodies
from adapters.vxp.calls import Operation
from adapters.vxp.documents import Documents
from adapters.vxp.limits import Gate
from adapters.vxp.lists import Lists
from adapters.vxp.progress import open_progress
from adapters.vxp.sending import Sending
from adapters.vxp.server import Api, fault
from adapters.vxp.settings import VxpSettings
from adapters.vxp.systems import read_systems
from runtime.settings import settings_of
from schemas.errors import Rejected

log = structlog.get_logger()


class Vxp:
    """`adapters.sdk.Adapter` over the API. Made by `open_vxp`.

    Exactly once: the software knows a message by its docId, the same in every answer, and says `done` when it has it.
    """

    guarantee: ClassVar[Guarantee] = Guarantee.EXACTLY_ONCE

    def __init__(
        self, name: str, node: NodeApi, api: Api, settings: VxpSettings, resources: contextlib.AsyncExitStack
    ) -> None:
        self._name = name
        self._node = node
        self._api = api
        self._settings = settings
        self._resources = resources
        self._url: str | None = None

    @property
    def url(self) -> str | None:
        """Where it listens, None while it does not."""
        return self._url

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Leave it in the list of what arrived; what could never be fetched in the classic form is for a person."""
        try:
            await require_writable(delivery, self._node)
        except Rejected as error:
            return Never(str(error))
        return Awaiting()

    async def run(self, stop: asyncio.Event) -> None:
        table = f"adapters.{self._name}"
        async with listening(self._api.application(), self._settings, table=table, fault=fault) as url:
            self._url = str(url)
            log.info("vxp.ready", adapter=self._name, url=self._url)
            try:
                await stop.wait()
            finally:
                self._url = None

    async def health(self) -> Health:
        if self._url is None:
            return Health(ok=False, detail=f"Nothing listens on {self._settings.listen}.")
        return Health(ok=True, detail=f"Answers at {self._url}.")

    async def close(self) -> None:
        await self._resources.aclose()


async def open_vxp(context: AdapterContext) -> Vxp:
    """Make the API that `context.settings` describe; its spool and its marks stand in `context.folder`.

    Raises `settings-invalid`, what `read_secret` raises, and the errors of storage.
    """
    settings = settings_of(VxpSettings, context.settings, source=f"[adapters.{context.name}]")
    systems = await asyncio.to_thread(read_systems, settings.systems)
    private, node = context.folder / ".state", context.node
    await asyncio.to_thread(spool.sweep, private / "spool")
    gate = Gate(settings, asyncio.get_running_loop().time)
    bodies = Bodies(settings.silence_seconds)
    async with contextlib.AsyncExitStack() as stack:
        progress = await stack.enter_async_context(open_progress(private / "progress.sqlite3", context.clock))
        sending = Sending(node, bodies, gate, spool=private / "spool", limits=settings.limits())
        documents = Documents(node, progress, gate, spool=private / "spool", silence_seconds=settings.silence_seconds)
        lists = Lists(node, progress, gate, length=settings.list_length)
        agencies = Agencies(node, bodies, gate, silence_seconds=settings.silence_seconds)
        posts = {
            "sendEdoc": sending.send,
            "getReceivedEdocList": lists.received,
            "getSentEdocList": lists.sent,
            "getEdoc": documents.get,
            "updateStatus": documents.update,
            "countReceiveEdoc": lists.count(MessageKind.DOCUMENT),
            "countReceiveStatus": lists.count(MessageKind.STATUS),
            **agencies.lists,
            "registerAgency": agencies.register,
            "deleteAgency": agencies.delete,
        }
        operations = [Operation(name, "POST", handler) for name, handler in posts.items()]
        operations.append(Operation("downloadEdoc", "GET", documents.download))
        return Vxp(context.name, node, Api(operations, systems, gate, bodies), settings, stack.pop_all())
