"""Problem documents (RFC 9457): how an error crosses the wire and becomes the same error on the other side."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.receipts import SignedReceipt

TYPE_PREFIX: Final = "urn:congvan:problem:"

#: The HTTP status of each code that does not take its family's (422: refused, 503: try again later).
STATUSES: Final = {
    "request-malformed": 400,
    "unauthenticated": 401,
    "token-unknown": 401,
    "token-expired": 401,
    "token-used": 409,
    "forbidden": 403,
    "connection-suspended": 403,
    "sender-not-served": 403,
    "unit-not-below": 403,
    "units-not-allowed": 403,
    "not-found": 404,
    "message-unknown": 404,
    "blob-unknown": 404,
    "upload-unknown": 404,
    "unit-unknown": 404,
    "method-not-allowed": 405,
    "code-taken": 409,
    "upload-offset": 409,
    "upload-length": 409,
    "submission-conflict": 409,
    "epoch-changed": 409,
    "payload-purged": 410,
    "upload-version": 412,
    "too-large": 413,
    "envelope-too-large": 413,
    "attachment-too-large": 413,
    "media-type": 415,
    "range": 416,
    "too-many-requests": 429,
    "internal": 500,
    "storage-full": 507,
}


class Problem(BaseModel):
    """A problem document. `code` is stable; `retryable` says whether the same request may succeed later.

    `receipt` and `proof` are the signed SubmissionRejection of a refused envelope, as bytes in base64 (URL-safe).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="base64", val_json_bytes="base64")

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    element: str | None = None
    line: int | None = None
    mend: str | None = None
    receipt: bytes | None = None
    proof: bytes | None = None


def problem_of(error: CongvanError) -> Problem:
    """The problem document that tells a peer of `error`."""
    retryable = isinstance(error, Unavailable)
    rejection = error.receipt if isinstance(error, Rejected) else None
    return Problem(
        type=TYPE_PREFIX + error.code,
        title=error.code.replace("-", " "),
        status=STATUSES.get(error.code, 503 if retryable else 422),
        detail=error.message,
        code=error.code,
        retryable=retryable,
        element=error.element,
        line=error.line,
        mend=error.mend,
        receipt=rejection.receipt if rejection else None,
        proof=rejection.proof if rejection else None,
    )


def error_of(status: int, body: bytes) -> CongvanError:
    """The error that a peer's answer tells of, whatever the answer is made of.

    An answer that is no problem document comes from something between: it is for later, unless its status
    says that the request itself is at fault.
    """
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        if status in (400, 404, 405, 413, 414, 415, 431):
            return Rejected(
                "not-a-hub",
                f"The address answered with status {status} and no problem document.",
                mend="Check the hub's address.",
            )
        return Unavailable("hub-failed", f"The hub, or a proxy before it, answered with status {status}.")
    return error_in(problem)


def error_in(problem: Problem) -> CongvanError:
    """The error that a problem document tells of."""
    family = Unavailable if problem.retryable else Rejected
    error = family(problem.code, problem.detail, element=problem.element, line=problem.line, mend=problem.mend)
    if isinstance(error, Rejected) and problem.receipt is not None and problem.proof is not None:
        error.receipt = SignedReceipt(problem.receipt, problem.proof)
    return error
