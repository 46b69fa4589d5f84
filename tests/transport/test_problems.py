"""Problem documents: an error is the same error on the other side of the wire."""

from __future__ import annotations

import pytest

from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.receipts import SignedReceipt
from transport.problems import Problem, error_of, problem_of


@pytest.mark.parametrize(
    "error",
    [
        Rejected(
            "recipient-unknown", "H99 is no agency.", element="MessageHeader/To[2]/OrganId", line=7, mend="Check."
        ),
        Unavailable("storage-full", "No space."),
        Rejected("not-found", "There is nothing here."),
    ],
)
def test_an_error_crosses_the_wire(error: CongvanError) -> None:
    """Family, code, sentence, element, line and mend of an error are those of the error read from its document."""
    problem = problem_of(error)
    read = error_of(problem.status, problem.model_dump_json().encode())
    assert type(read) is type(error)
    assert (read.code, read.message, read.element, read.line, read.mend) == (
        error.code,
        error.message,
        error.element,
        error.line,
        error.mend,
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Rejected("seal-signature", "x"), 422),
        (Unavailable("revocation-source", "x"), 503),
        (Unavailable("storage-full", "x"), 507),
        (Rejected("blob-unknown", "x"), 404),
        (Rejected("upload-offset", "x"), 409),
        (Rejected("envelope-too-large", "x"), 413),
    ],
)
def test_statuses(error: CongvanError, status: int) -> None:
    """A refusal is 422 and a failure 503 unless HTTP has a better word; the type names the code."""
    problem = problem_of(error)
    assert problem.status == status
    assert problem.type == f"urn:congvan:problem:{error.code}"


@pytest.mark.parametrize(
    ("status", "family"), [(502, Unavailable), (503, Unavailable), (404, Rejected), (403, Unavailable)]
)
def test_answers_from_something_between(status: int, family: type[CongvanError]) -> None:
    """A proxy's HTML is no refusal of the document: only a plain client error stops the sender from trying again."""
    assert isinstance(error_of(status, b"<html>Bad gateway</html>"), family)


def test_unknown_members_are_passed_over() -> None:
    """A newer hub may say more in its problem documents."""
    problem = problem_of(Rejected("x-y", "Sentence."))
    body = problem.model_dump_json().replace("{", '{"newer": [1], ', 1)
    assert Problem.model_validate_json(body) == problem


def test_a_signed_refusal_crosses_the_wire_unchanged() -> None:
    """Receipt and proof come out byte for byte, and a problem without both brings neither."""
    error = Rejected("recipient-unknown", "H99 is no agency of the directory.")
    error.receipt = SignedReceipt(b"<Receipt>\xc3\xb4</Receipt>", bytes(range(256)))
    body = problem_of(error).model_dump_json(exclude_none=True).encode()
    told = error_of(422, body)
    assert isinstance(told, Rejected)
    assert told.receipt == error.receipt
    halved = error_of(
        422, Problem.model_validate_json(body).model_copy(update={"proof": None}).model_dump_json().encode()
    )
    assert isinstance(halved, Rejected)
    assert halved.receipt is None
