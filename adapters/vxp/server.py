"""The API: which path is which operation, and what every request passes before one answers.

Whatever goes wrong, the answer is the API's own envelope: its readers take no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog
from aiohttp import hdrs, web

from adapters.vxp.answers import failed, refused, status_of
from adapters.vxp.bodies import Bodies
from adapters.vxp.calls import Call, Operation
from adapters.vxp.limits import Gate
from adapters.vxp.systems import Systems
from schemas.errors import CongvanError, Rejected, Unavailable

log = structlog.get_logger()

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
#: Stands in a request that a system has signed.
_VERIFIED: Final = web.RequestKey("verified", bool)


class Api:
    """Answers requests of `systems` by `operations`."""

    def __init__(self, operations: Iterable[Operation], systems: Systems, gate: Gate, bodies: Bodies) -> None:
        self._operations = {operation.name.lower(): operation for operation in operations}
        self._systems = systems
        self._gate = gate
        self._bodies = bodies

    def application(self) -> web.Application:
        application = web.Application()
        application.on_response_prepare.append(_close_afterwards)
        application.router.add_route("*", "/{path:.*}", self.answer, expect_handler=_go_on)
        return application

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The answer to any request at all."""
        operation = self._operations.get(_operation_name(request.path))
        try:
            return await self._answer(request, operation)
        except CongvanError as error:
            _note(request, error)
            response = refused(error)
        except ConnectionResetError:
            raise
        except Exception:
            log.exception("vxp.fault", path=request.path)
            response = failed(500, "The node has a fault; its log says which. Come again later.")
        if request.writer.output_size > 0:
            # An answer is under way: that it breaks off is all that can be told.
            raise ConnectionResetError("the answer broke off")
        if operation is not None and operation.is_download and request.method == operation.method:
            response = web.Response(status=204)
        if _VERIFIED in request:
            await self._bodies.drain(request)
        elif not await self._bodies.drain_stranger(request):
            # The server would read on by itself.
            await response.prepare(request)
            await response.write_eof()
            request.protocol.force_close()
        return response

    async def _answer(self, request: web.Request, operation: Operation | None) -> web.StreamResponse:
        if operation is None:
            raise Rejected(
                "operation-unknown",
                f"There is no operation {_operation_name(request.path)[:60]!r} here.",
                mend=f"There are: {', '.join(sorted(one.name for one in self._operations.values()))}.",
            )
        if request.method != operation.method:
            raise Rejected(
                "method-not-allowed", f"{operation.name} is asked for by {operation.method}, not {request.method}."
            )
        caller = self._systems.verified(request.raw_headers)
        request[_VERIFIED] = True
        await self._gate.turn(caller.system.system_id)
        async with self._gate.place():
            response = await operation.handler(Call(request, caller.system, caller.parameters))
        if not response.prepared:
            await self._bodies.drain(request)
        return response


def fault(status: int, sentence: str) -> web.Response:
    """The answer to what is no request, or where no handler could answer."""
    return failed(status, sentence)


def _operation_name(path: str) -> str:
    """The last part of the path, whatever prefix the endpoint has, and however many slashes stand between."""
    return next((part for part in reversed(path.split("/")) if part), "").lower()


async def _close_afterwards(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """The SDK asks to keep connections and opens a new one for each call: those that it leaves would fill the node."""
    response.force_close()
    response.headers[hdrs.CONNECTION] = "close"


async def _go_on(request: web.Request) -> None:
    """Answer `Expect: 100-continue` at once: without it the SDK waits three seconds before it sends on."""
    if request.version >= (1, 1) and "100-continue" in request.headers.get(hdrs.EXPECT, "").lower():
        await request.writer.write(_CONTINUE)
        # The answer itself has not begun.
        request.writer.output_size = 0


def _note(request: web.Request, error: CongvanError) -> None:
    level = log.warning if isinstance(error, Unavailable) or status_of(error) in (401, 403) else log.info
    level("vxp.refused", path=request.path, rule=error.code, reason=error.message, remote=request.remote)
