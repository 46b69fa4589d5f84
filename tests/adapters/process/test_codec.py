"""What goes between a node and an adapter's process: every message as it is, and nothing that is not of the SDK."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.kit.messages import NOW, Repertoire
from adapters.process.codec import HEADER, frame, value_in
from adapters.sdk import Awaiting, Later, Override, PdfSignature, Standing
from schemas.errors import Rejected

SIGNATURE = PdfSignature(
    field="1",
    signer="Nguyễn Thị Lan",
    signed_at=NOW,
    intact=True,
    covers_whole_file=False,
    modified=True,
    trusted=False,
    fault="Đã bị sửa",
)


def over(value: object) -> object:
    data = frame(value)
    text, blob = HEADER.unpack_from(data)
    return value_in(data[HEADER.size : HEADER.size + text], data[len(data) - blob :] if blob else b"")


def test_every_message_comes_over_as_it_is(tmp_path: Path) -> None:
    """Each kind of message that a node hands over is equal on the other side, bytes and hostile names with it."""
    repertoire = Repertoire(tmp_path)
    cases = [*repertoire.every_kind(), repertoire.hostile()]
    assert [over(case.delivery) for case in cases] == [case.delivery for case in cases]


def test_what_guards_found_comes_over(tmp_path: Path) -> None:
    """An attachment's signatures, and who answers for a document, are the same on the other side."""
    plain = next(case.delivery for case in Repertoire(tmp_path).every_kind() if case.delivery.attachments)
    guarded = replace(
        plain,
        attachments=(replace(plain.attachments[0], signatures=(SIGNATURE,)), *plain.attachments[1:]),
        override=Override("Trần Văn B", "Đã giải mật"),
    )
    assert over(guarded) == guarded


def test_outcomes_errors_and_plain_values_come_over() -> None:
    """Outcomes, instants, paths, counts by enumeration; an error keeps its rule, place and mend."""
    values = (
        Awaiting(),
        Later("Bảo trì", 3.5),
        NOW,
        Path("/srv/a"),
        {Standing.SENT: 2, "x": None},
        (1, True, b"\0\xff"),
    )
    assert over(values) == values
    error = over(Rejected("rule", "Sai", element="a/b", line=3, mend="Sửa"))
    assert isinstance(error, Rejected)
    assert (error.code, error.message, error.element, error.line, error.mend) == ("rule", "Sai", "a/b", 3, "Sửa")
    with pytest.raises(TypeError):
        frame(object())


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "Popen", "fields": {"args": "true"}}',
        '{"type": "Later", "fields": {"unknown": 1}}',
        '{"enum": "Standing", "value": "gone"}',
        '{"call": 1}',
        "[" * 100_000,
        '{"type": "AgencyCode", "fields": {"value": "../.."}}',
        "{}",
    ],
)
def test_nothing_else_can_be_read(text: str) -> None:
    """A frame that names another type, or breaks the rules of a value, is refused whole."""
    with pytest.raises(ValueError, match=r"value|Expecting|not a valid"):
        value_in(text.encode(), b"")
