"""`POST /v1/push`, on a listener of its own: batches of mail that this node's hub pushes, and nobody else.

The certificate of TLS says who pushes. A batch is answered when what came whole is on the disk, and what is still to
be fetched is being fetched on its lease: as if this node had asked for it.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from certs.tls import hub_of
from node.settings import PushTable
from node.usecases.intake import Intake
from node.usecases.push_contact import PushContact
from schemas.errors import CongvanError, LimitExceeded, Rejected, Unavailable
from transport import paths
from transport.problems import problem_of
from transport.wire import MailboxAnswer, decode

log = structlog.get_logger()

#: Seconds after which a hub that found no room is asked to come again.
_SOON: Final = 1.0
_WHEN_THERE_IS_SPACE: Final = 60.0


class PushIntake:
    """Answers pushes of the hub `hub`; what is to be fetched is fetched by tasks of `downloads`."""

    def __init__(
        self, hub: str, intake: Intake, contact: PushContact, downloads: asyncio.TaskGroup, settings: PushTable
    ) -> None:
        self._hub = hub
        self._intake = intake
        self._contact = contact
        self._downloads = downloads
        self._settings = settings
        self._batches = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take one batch. A free place is held before a byte of the body is read."""
        _require_hub(request, self._hub)
        if self._batches >= self._settings.batches:
            raise _later("push-busy", "As many batches as this node takes at once are under way.", _SOON)
        self._batches += 1
        try:
            answer = await asyncio.to_thread(decode, MailboxAnswer, await self._body(request))
            if answer.entries:
                self._intake.require_space()
            await self._intake.take(answer, self._downloads)
        finally:
            self._batches -= 1
        self._contact.pushed()
        log.debug("push.arrived", entries=len(answer.entries))
        return web.Response(status=204)

    async def _body(self, request: web.Request) -> bytes:
        limit = self._settings.body_bytes
        body = bytearray()
        try:
            while True:
                async with asyncio.timeout(self._settings.silence_seconds):
                    piece = await request.content.readany()
                if not piece:
                    return bytes(body)
                body += piece
                if len(body) > limit:
                    raise LimitExceeded("too-large", f"A push has {limit} bytes at most.", mend="Push fewer entries.")
        except TimeoutError as error:
            raise _later("request-timeout", "The push broke off.", _SOON) from error


def push_application(pushes: PushIntake) -> web.Application:
    """What the listener for pushes serves."""
    application = web.Application(middlewares=[_problems])
    application.add_routes([web.post(paths.PUSH, pushes.take)])
    return application


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except CongvanError as error:
        log.warning("push.refused", rule=error.code, reason=error.message, remote=request.remote)
        problem = problem_of(error)
        headers = {}
        if isinstance(error, Unavailable):
            wait = _WHEN_THERE_IS_SPACE if error.code == "storage-full" else error.retry_after or _SOON
            headers["Retry-After"] = str(math.ceil(wait))
        return web.Response(
            body=problem.model_dump_json(exclude_none=True).encode(),
            # Whatever passes is "busy" to a hub, a full disk too: no fault of the endpoint.
            status=503 if isinstance(error, Unavailable) else problem.status,
            content_type=paths.PROBLEM_TYPE,
            headers=headers,
        )


def _require_hub(request: web.Request, name: str) -> None:
    """Pass for a request of the hub `name`; `forbidden` for any other, an enrolled node among them."""
    connection = request.transport and request.transport.get_extra_info("ssl_object")
    certificate: bytes | None = connection.getpeercert(binary_form=True) if connection else None
    if certificate is None or hub_of(certificate) != name:
        raise Rejected("forbidden", "Only this node's hub may push.")


def _later(code: str, message: str, seconds: float) -> Unavailable:
    error = Unavailable(code, message)
    error.retry_after = seconds
    return error
