"""Errors leave as problem documents (RFC 9457), all by one middleware."""

from __future__ import annotations

import math
from random import Random
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from schemas.errors import CongvanError, Rejected, Unavailable
from transport import paths
from transport.problems import Problem, problem_of

log = structlog.get_logger()

#: Set once an answer's head is on its way: from then on no other answer can be given.
STARTED: Final = web.RequestKey("started", bool)

#: Seconds that who is answered so waits at least: too many at a time, a part that is down, a full disk.
_WAITS: Final = {429: 2.0, 503: 4.0, 507: 6.0}
#: Middleware belongs to the process, not to a use case; tests of the spread bring their own.
_CHANCE: Final = Random()

_FAILED: Final = Unavailable("internal", "The hub failed to answer.", mend="Try again later.")

#: aiohttp's own answers, and what they are in our words.
_WORDS: Final = {
    404: ("not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take that method."),
    413: ("too-large", "The request's body is longer than this call takes."),
    415: ("media-type", "This call does not take that media type."),
}


def result_problem(path: str, error: Exception) -> tuple[Problem, int | None]:
    """The problem of one item among several that were brought to `path`, and the seconds to wait, if any."""
    if not isinstance(error, CongvanError):
        log.error("request.failed", path=path, exc_info=error)
        error = _FAILED
    told = for_peers(path, error)
    problem = problem_of(told)
    return problem, retry_after(told, problem.status, _CHANCE)


def retry_after(error: CongvanError, status: int, chance: Random) -> int | None:
    """The seconds that a peer is asked to wait: what the error says, else what its status does; None if neither does.

    They are spread, up to twice as long: all who are turned away in one moment must not come back in one.
    """
    if not isinstance(error, Unavailable):
        return None
    if error.retry_after is not None:
        return math.ceil(error.retry_after)
    least = _WAITS.get(status)
    return None if least is None else math.ceil(chance.uniform(least, 2 * least))


def problem_response(error: CongvanError) -> web.Response:
    """The problem document that tells of `error`."""
    problem = problem_of(error)
    wait = retry_after(error, problem.status, _CHANCE)
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return web.Response(
        body=problem.model_dump_json(exclude_none=True).encode(),
        status=problem.status,
        content_type=paths.PROBLEM_TYPE,
        headers=headers,
    )


async def note_start(request: web.Request, _response: web.StreamResponse) -> None:
    """Signal handler for `on_response_prepare`."""
    request[STARTED] = True


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into answers. What nobody foresaw is `internal`: the log has it, the peer is told nothing of it."""
    try:
        return await handler(request)
    except CongvanError as error:
        return _answer(request, for_peers(request.path, error))
    except web.HTTPException as error:
        code, sentence = _WORDS.get(error.status, ("request-malformed", "The request is malformed."))
        return _answer(request, Rejected(code, sentence))
    except ConnectionError:
        # The peer is gone: nobody is left to tell, and nothing here is wrong.
        log.debug("request.broken_off", method=request.method, path=request.path)
        if request.get(STARTED):
            raise
        return web.Response(status=400)
    except Exception:
        log.exception("request.failed", method=request.method, path=request.path)
        return _answer(request, _FAILED)


def for_peers(path: str, error: CongvanError) -> CongvanError:
    """Where the attachments are kept is the operator's affair: the log names it, a peer is told to come again."""
    if not error.code.startswith("blob-store-"):
        return error
    log.error("blobs.unavailable", path=path, rule=error.code, reason=error.message, mend=error.mend)
    return Unavailable(
        "attachments-unavailable",
        "The hub cannot reach its attachments now.",
        mend="The same is tried again by itself.",
    )


def _answer(request: web.Request, error: CongvanError) -> web.StreamResponse:
    if request.get(STARTED):
        # Half an answer is out. Breaking the connection is the one way left to say that it is not whole.
        log.warning("answer.broken_off", path=request.path, code=error.code)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the answer could not be finished") from error
    return problem_response(error)
