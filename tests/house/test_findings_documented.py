"""The operator finds each finding of an audit in the manual."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.auditing import MENDS, FindingCode

_MANUAL = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", FindingCode)
def test_each_finding_is_explained_and_has_a_mend(code: FindingCode) -> None:
    """What an audit can find stands in the manual, and what to do about it in the program."""
    assert f"`{code}`" in _MANUAL
    assert MENDS[code].endswith(".")
