"""The API's answers: one JSON object, its three members always there and never null, in ASCII (docs: section 4).

The SDK reads neither the HTTP status nor the content type; the status is for logs and for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from schemas.errors import CongvanError, Rejected

_SUCCESS: Final = {"status": "OK", "ErrorCode": "0", "ErrorDesc": "Success"}

#: The HTTP status of a refusal, which is its ErrorCode too; 400 for all others.
_STATUSES: Final = {
    "header-missing": 401,
    "header-repeated": 401,
    "signature-wrong": 401,
    "sender-not-served": 403,
    "sender-not-yours": 403,
    "unit-not-yours": 403,
    "operation-unknown": 404,
    "delivery-unknown": 404,
    "agency-unknown": 404,
    "method-not-allowed": 405,
    "delivery-settled": 409,
    "delivery-locked": 409,
    "key-conflict": 409,
    "message-too-large": 413,
    "too-many-requests": 429,
}


def encoded(payload: Mapping[str, object]) -> bytes:
    """`payload` as the SDK reads it: its reader of sendEdoc takes US-ASCII."""
    return json.dumps(payload, ensure_ascii=True, separators=(",", ":")).encode()


def success(**members: object) -> dict[str, object]:
    """The members of an answer that says yes."""
    return {**_SUCCESS, **members}


def answered(payload: Mapping[str, object], *, status: int = 200) -> web.Response:
    return web.Response(body=encoded(payload), status=status, content_type="application/json", charset="utf-8")


def status_of(error: CongvanError) -> int:
    return _STATUSES.get(error.code, 400) if isinstance(error, Rejected) else 503


def refused(error: CongvanError) -> web.Response:
    """The answer to a request that `error` ended; its sentence names the rule and the mend."""
    return failed(status_of(error), str(error))


def failed(status: int, sentence: str) -> web.Response:
    """An error, with every member that any operation's reader may look for."""
    words = sentence or HTTPStatus(status).description or HTTPStatus(status).phrase
    members = {"status": "FAIL", "ErrorCode": str(status), "ErrorDesc": words, "DocId": "", "data": [], "count": 0}
    # 401 demands a challenge (RFC 9110, section 15.5.2) that no caller here could meet; Java's client stumbles over it.
    return answered(members, status=403 if status == 401 else status)
