"""Agency codes as routing keys."""

from __future__ import annotations

import pytest

from hub.usecases.topics import topic_of
from schemas.codes import AgencyCode


@pytest.mark.parametrize(
    ("code", "topic"),
    [
        ("H23", "H23"),
        ("H23.12.3", "H23.12.3"),
        ("000.00.00.H23", "H23"),
        ("000.23.32.H53", "H53.32.23"),
        ("007.00.32.H53", "H53.32.00.007"),
        ("28.22.H17", "H17.22.28"),
        ("vxp.saas.03", "vxp.saas.03"),
        ("haiduong", "haiduong"),
    ],
)
def test_the_most_general_part_comes_first(code: str, topic: str) -> None:
    """`H23.#` takes in Hải Dương and all below it, in whatever form a code is written."""
    assert topic_of(code) == topic


@pytest.mark.parametrize("code", ["H23.12.3", "000.23.32.H53", "007.00.32.H53", "28.22.H17"])
def test_what_lies_below_begins_with_what_lies_above(code: str) -> None:
    """The key of each agency above is the beginning of the key, whole parts of it."""
    for above in AgencyCode(code).ancestors():
        assert topic_of(code).startswith(topic_of(above.value) + ".")
