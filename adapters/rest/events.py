"""What happens to the node's messages: read page by page, or followed as a stream (server-sent events)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.event_json import event_json
from adapters.rest.operations import Answer, Call, Operation, Query, Words, json_answer
from adapters.rest.shapes import EventList
from adapters.rest.tokens import Grant, Scope
from adapters.sdk import NodeApi, NodeEvent
from schemas.errors import CongvanError, Rejected, Unavailable

_EVENTS: Final = Words("Sự kiện", "Events")
_STREAM: Final = "text/event-stream"
_PAGE: Final = 100
#: A stream says something at least this often (seconds), so that both ends notice a dead connection.
_HEARTBEAT: Final = 15.0
#: Of an event of a message that was sent, the sender is the agency of this node.
_OF_SENT: Final = "delivery."


class EventQuery(Query):
    after: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Go on behind this number: the `last` of the page before."""
    limit: Annotated[int, Field(ge=1, le=1000)] = _PAGE
    wait: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Seconds to wait for a first one, if there is none."""


class StreamQuery(Query):
    after: Annotated[int, Field(ge=0, le=2**53)] | None = None
    """Begin behind this number, as Last-Event-ID does; without either, with what comes from now on."""


class Events:
    """The log of the node. `authorise` gives what a request's token gives now; `streams` may be open at once."""

    def __init__(self, node: NodeApi, *, authorise: Callable[[web.Request], Grant], streams: int) -> None:
        self._node = node
        self._authorise = authorise
        self._most = streams
        self._open: dict[asyncio.Task[object], web.Request] = {}

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                name="listEvents",
                method="GET",
                path="/v1/events",
                tag=_EVENTS,
                scope=Scope.EVENTS,
                words=Words("Sự kiện theo trang", "Events page by page"),
                detail="The newest 100,000 are kept. For a token that sees all agencies: if the first number is not "
                "`after` + 1, what lay between is not kept any more.",
                query=EventQuery,
                answers={200: Answer(words=Words("Sự kiện", "The page"), shape=EventList)},
                run=self.page,
            ),
            Operation(
                name="streamEvents",
                method="GET",
                path="/v1/events/stream",
                tag=_EVENTS,
                scope=Scope.EVENTS,
                words=Words("Luồng sự kiện (SSE)", "Events as a stream of server-sent events"),
                detail="Each has its number as `id`, its name as `event`, and JSON (Event) as `data`. A client that "
                "connects again sends `Last-Event-ID` and misses nothing.",
                query=StreamQuery,
                headers={"Last-Event-ID": Words("Số của sự kiện cuối đã nhận", "The number of the last one received")},
                answers={200: Answer(words=Words("Luồng", "The stream, which does not end"), media=_STREAM)},
                problems=(429,),
                run=self.stream,
            ),
        )

    async def page(self, call: Call) -> web.Response:
        query = call.query(EventQuery)
        found = await self._node.events(after=query.after, limit=query.limit, wait_seconds=query.wait)
        events = tuple(event_json(event) for event in found if _sees(call.grant, event))
        return json_answer(EventList(events=events, last=found[-1].number if found else query.after))

    async def stream(self, call: Call) -> web.StreamResponse:
        after = await self._start(call)
        if len(self._open) >= self._most:
            self._let_go()
        if len(self._open) >= self._most:
            raise _too_many(self._most)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a handler runs in a task")
        self._open[task] = call.request
        try:
            response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
            response.content_type = _STREAM
            await response.prepare(call.request)
            await self._follow(call.request, response, after)
            return response
        finally:
            self._open.pop(task, None)

    def end(self) -> None:
        """End all streams: the node stops. Their clients come again, and go on where they were."""
        for task in self._open:
            task.cancel()

    def _let_go(self) -> None:
        """End the streams whose clients are gone: they would notice at their next event, or heartbeat."""
        for task, request in list(self._open.items()):
            if request.transport is None or request.transport.is_closing():
                del self._open[task]
                task.cancel()

    async def _follow(self, request: web.Request, response: web.StreamResponse, after: int) -> None:
        while True:
            try:
                found = await self._node.events(after=after, limit=_PAGE, wait_seconds=_HEARTBEAT)
                # Anew for each step: a token that was revoked meanwhile sees no more.
                grant = await asyncio.to_thread(self._authorise, request)
            except CongvanError:
                # Nothing can be told in a stream but its end; the client comes again, and is told then.
                return
            if not found:
                await response.write(b": \n\n")
                continue
            after = found[-1].number
            seen = [event for event in found if _sees(grant, event)]
            lines = [_lines(event) for event in seen]
            if not seen or seen[-1].number != after:
                # An id without data moves Last-Event-ID on, past what the token does not see.
                lines.append(f"id: {after}\n\n")
            await response.write("".join(lines).encode())

    async def _start(self, call: Call) -> int:
        after = call.query(StreamQuery).after
        last = call.request.headers.get("Last-Event-ID")
        if last is None:
            return after if after is not None else await self._node.last_event()
        if not (last.isascii() and last.isdecimal() and len(last) < 16):
            raise Rejected(
                "parameter-invalid", "Last-Event-ID is no number.", element="Last-Event-ID", mend="Send it as it came."
            )
        return int(last)


def _sees(grant: Grant, event: NodeEvent) -> bool:
    """Whether the event is of an agency that the token is for."""
    is_sent = event.name.startswith(_OF_SENT) or event.code is None
    return grant.covers(event.sender if is_sent or event.code is None else event.code)


def _lines(event: NodeEvent) -> str:
    """The event as the stream writes it. JSON has no line break."""
    return f"id: {event.number}\nevent: {event.name}\ndata: {event_json(event).model_dump_json(exclude_none=True)}\n\n"


def _too_many(most: int) -> CongvanError:
    error = Unavailable("too-many-streams", f"There are {most} streams already.", mend="Close those not needed.")
    error.retry_after = _HEARTBEAT
    return error
