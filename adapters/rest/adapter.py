"""The adapter: a listener that software calls; what comes awaits the software."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import structlog
from aiohttp import web
from yarl import URL

from adapters import spool
from adapters.listening import listening
from adapters.problems import fault_answer
from adapters.rest.agencies import Agencies
from adapters.rest.amending import Amending
from adapters.rest.documents import Documents
from adapters.rest.events import Events
from adapters.rest.fetching import Fetching
from adapters.rest.inbox import Inbox
from adapters.rest.serving import bearer_token, rest_application
from adapters.rest.settings import RestSettings
from adapters.rest.statuses import Statuses
from adapters.rest.submitting import Submitting
from adapters.rest.tokens import Tokens
from adapters.sdk import AdapterContext, Awaiting, Delivery, Guarantee, Health, Outcome
from runtime.settings import settings_of

log = structlog.get_logger()


class Rest:
    """`adapters.sdk.Adapter` over HTTP. Made by `open_rest`. `url` is where it listens while it runs."""

    guarantee: ClassVar[Guarantee] = Guarantee.EXACTLY_ONCE

    def __init__(self, application: web.Application, events: Events, settings: RestSettings, *, name: str) -> None:
        self._application = application
        self._events = events
        self._settings = settings
        self._name = name
        self.url: URL | None = None

    async def deliver(self, _delivery: Delivery) -> Outcome:
        """Nothing is handed over here: the software fetches it, and confirms under its key."""
        return Awaiting()

    async def run(self, stop: asyncio.Event) -> None:
        async with listening(
            self._application, self._settings, table=f"adapters.{self._name}", fault=fault_answer
        ) as url:
            self.url = url
            log.info("rest.listening", url=str(url))
            try:
                await stop.wait()
            finally:
                self.url = None
                self._events.end()

    async def health(self) -> Health:
        if self.url is None:
            return Health(ok=False, detail="It does not listen.")
        return Health(ok=True, detail=f"It listens at {self.url}.")

    async def close(self) -> None:
        """Nothing is held beside what `run` holds."""


async def open_rest(context: AdapterContext) -> Rest:
    """Make the API that `context.settings` describe; its tokens and its spool stand in `context.folder`.

    Raises `settings-invalid`, and what `Tokens.grants` raises.
    """
    settings = settings_of(RestSettings, context.settings, source=f"[adapters.{context.name}]")
    spool_folder = context.folder / "spool"
    await asyncio.to_thread(spool.sweep, spool_folder)
    tokens = Tokens(settings.tokens(context.folder), context.clock)
    await asyncio.to_thread(tokens.grants)
    events = Events(
        context.node, authorise=lambda request: tokens.grant(bearer_token(request)), streams=settings.streams
    )
    submitting = Submitting(
        context.node, spool=spool_folder, limits=settings.limits(), uploads=settings.uploads, clock=context.clock
    )
    operations = [
        *Documents(submitting).operations(),
        *Amending(submitting).operations(),
        *Inbox(context.node, longest_lock=settings.lock_seconds).operations(),
        *Fetching(context.node, spool=spool_folder, classic_files=settings.classic_files).operations(),
        *Statuses(context.node).operations(),
        *Agencies(context.node).operations(),
        *events.operations(),
    ]
    application = rest_application(operations, node=context.node, tokens=tokens, settings=settings)
    return Rest(application, events, settings, name=context.name)
