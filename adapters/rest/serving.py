"""The API as a web application: who may call what, and errors as problem documents."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from adapters.problems import problem_answer
from adapters.rest.documentation import DocumentationPage
from adapters.rest.openapi import openapi_document
from adapters.rest.operations import Answer, Call, Operation, Words, json_answer
from adapters.rest.settings import RestSettings
from adapters.rest.shapes import TokenJson
from adapters.rest.tokens import Tokens, TokenUnknown
from adapters.sdk import NodeApi
from schemas.errors import CongvanError, Rejected, Unavailable

log = structlog.get_logger()

_BEARER: Final = "bearer "


def rest_application(
    operations: Sequence[Operation], *, node: NodeApi, tokens: Tokens, settings: RestSettings
) -> web.Application:
    """Serve `operations`, a look at one's own token, the OpenAPI document at /openapi.json and its page at /docs."""

    async def own_token(call: Call) -> web.Response:
        grant = call.grant
        return json_answer(
            TokenJson(
                name=grant.name,
                scopes=tuple(sorted(grant.scopes)),
                agencies=tuple(code.value for code in grant.agencies),
                served=tuple(code.value for code in grant.covered(node.served_codes)),
                expires_at=grant.expires_at,
            )
        )

    everything = (
        *operations,
        Operation(
            name="getToken",
            method="GET",
            path="/v1/token",
            tag=Words("Khóa truy cập", "Token"),
            scope=None,
            words=Words("Khóa này cho phép những gì", "What this token gives"),
            answers={200: Answer(words=Words("Quyền hạn", "Its rights"), shape=TokenJson)},
            run=own_token,
        ),
    )
    application = web.Application(middlewares=[_problems])
    for operation in everything:
        application.router.add_route(operation.method, operation.path, _guarded(operation, tokens, settings))
    document = openapi_document(everything)
    page = DocumentationPage(document)

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(document, headers={"Cache-Control": "no-cache"})

    application.router.add_get("/openapi.json", openapi, allow_head=False)
    application.router.add_get("/docs", page.show, allow_head=False)
    return application


def _guarded(operation: Operation, tokens: Tokens, settings: RestSettings) -> Handler:
    """The handler of `operation`, for bearers of a token with its scope."""

    async def handle(request: web.Request) -> web.StreamResponse:
        grant = await asyncio.to_thread(tokens.grant, bearer_token(request))
        call = Call(
            request=request,
            grant=grant,
            silence_seconds=settings.silence_seconds,
            json_bytes=settings.json_bytes,
        )
        if operation.scope is not None:
            call.require(operation.scope)
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Rejected(
                "media-type", "Compressed bodies are not taken.", element="Content-Encoding", mend="Send it as it is."
            )
        if operation.query is None and request.query:
            name = next(iter(request.query))
            raise Rejected("parameter-invalid", f"There is no parameter {name[:80]!r}.", element=name[:80])
        return await operation.run(call)

    return handle


def bearer_token(request: web.Request) -> str:
    """The token that the request bears; raises Rejected: `unauthenticated`."""
    written = request.headers.getall("Authorization", [])
    if len(written) != 1 or not written[0].lower().startswith(_BEARER):
        raise Rejected(
            "unauthenticated",
            "The request bears no token.",
            element="Authorization",
            mend="Send the header: Authorization: Bearer congvan-rest_…",
        )
    return written[0][len(_BEARER) :].strip()


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except CongvanError as error:
        return _refusal(request, error)
    except web.HTTPNotFound:
        return _refusal(request, Rejected("not-found", f"There is no {request.path[:200]}.", mend="See /docs."))
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refusal = Rejected("method-not-allowed", f"{request.method[:20]} is not for {request.path[:200]}: {allowed}.")
        answer = _refusal(request, refusal)
        answer.headers["Allow"] = allowed
        return answer


def _refusal(request: web.Request, error: CongvanError) -> web.Response:
    is_ours = isinstance(error, Unavailable)
    (log.warning if is_ours else log.info)(
        "rest.refused", rule=error.code, reason=error.message, path=request.path[:200], remote=request.remote
    )
    answer = problem_answer(error)
    match error.code:
        case "unauthenticated":
            answer.headers["WWW-Authenticate"] = "Bearer"
        case "scope-missing":
            answer.headers["WWW-Authenticate"] = 'Bearer error="insufficient_scope"'
        case _ if isinstance(error, TokenUnknown):
            answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return answer
