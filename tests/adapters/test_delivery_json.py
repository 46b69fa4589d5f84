"""A delivery as JSON tells what the guards found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adapters.delivery_json import attachment_facts, override_json
from adapters.kit.messages import Repertoire
from adapters.sdk import Override
from tests.adapters.process.test_codec import SIGNATURE


def test_signatures_and_an_override_are_told(tmp_path: Path) -> None:
    """A PDF file's signatures stand with it, an unsigned file has none, and who overrode is named."""
    plain = next(case.delivery for case in Repertoire(tmp_path).every_kind() if case.delivery.attachments)
    assert override_json(plain) is None
    assert next(attachment_facts(plain))[1].signatures == ()
    signed = replace(
        plain,
        attachments=(replace(plain.attachments[0], signatures=(SIGNATURE,)), *plain.attachments[1:]),
        override=Override("Trần Văn B", "Đã giải mật"),
    )
    (told,) = next(attachment_facts(signed))[1].model_dump(mode="json")["signatures"]
    assert (told["signer"], told["modified"], told["trusted"]) == ("Nguyễn Thị Lan", True, False)
    said = override_json(signed)
    assert said is not None
    assert (said.by, said.reason) == ("Trần Văn B", "Đã giải mật")
