"""Errors as problem documents (RFC 9457), each under the stable code of its rule: for adapters that listen."""

from __future__ import annotations

import math
from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.message_json import JsonShape
from schemas.errors import CongvanError, LimitExceeded, Unavailable

TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:congvan:problem:"

#: The HTTP status of each code that does not take its family's (422: refused, 413: too large, 503: later).
STATUSES: Final = {
    "request-malformed": 400,
    "parameter-invalid": 400,
    "key-malformed": 400,
    "cursor-malformed": 400,
    "unauthenticated": 401,
    "token-unknown": 401,
    "token-expired": 401,
    "link-invalid": 403,
    "scope-missing": 403,
    "agency-not-granted": 403,
    "unit-not-below": 403,
    "units-not-allowed": 403,
    "not-found": 404,
    "delivery-unknown": 404,
    "document-not-sent": 404,
    "agency-unknown": 404,
    "unit-unknown": 404,
    "attachment-unknown": 404,
    "method-not-allowed": 405,
    "key-conflict": 409,
    "delivery-settled": 409,
    "delivery-locked": 409,
    "status-transition": 409,
    "link-expired": 410,
    "payload-purged": 410,
    "media-type": 415,
    "range": 416,
    "too-many-streams": 429,
    "internal": 500,
    "storage-full": 507,
}
#: Seconds after which to come again, where the error itself names none.
_SOON: Final = 5


class Problem(JsonShape):
    """Lỗi / What went wrong: `code` names the rule and is stable, `retryable` says whether the same may work later."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: str
    retryable: bool
    element: str | None = None
    """Where in what was sent."""
    line: int | None = None
    mend: str | None = None
    """Cách sửa / What to do."""


def problem_of(error: CongvanError) -> Problem:
    retryable = isinstance(error, Unavailable)
    family = 503 if retryable else 413 if isinstance(error, LimitExceeded) else 422
    return Problem(
        type=_TYPE_PREFIX + error.code,
        title=error.code.replace("-", " "),
        status=STATUSES.get(error.code, family),
        detail=error.message,
        code=error.code,
        retryable=retryable,
        element=error.element,
        line=error.line,
        mend=error.mend,
    )


def problem_answer(error: CongvanError) -> web.Response:
    """The answer that tells of `error`."""
    problem = problem_of(error)
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(math.ceil(error.retry_after or _SOON))
    return web.Response(
        body=problem.model_dump_json(exclude_none=True).encode(),
        status=problem.status,
        content_type=TYPE,
        headers=headers,
    )


def fault_answer(status: int, sentence: str) -> web.Response:
    """The answer where no handler could answer: a request that is no HTTP, or a fault of ours."""
    code = "internal" if status >= 500 else "request-malformed"
    problem = Problem(
        type=_TYPE_PREFIX + code,
        title=code.replace("-", " "),
        status=status,
        detail=sentence or "The API failed; the node's log says why.",
        code=code,
        retryable=status >= 500,
    )
    return web.Response(body=problem.model_dump_json(exclude_none=True).encode(), status=status, content_type=TYPE)
