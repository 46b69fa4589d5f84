"""Agency codes: what is one, where it stands, and what is said of a text that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codes import MAX_LENGTH, AgencyCode, CodeForm
from schemas.errors import MalformedCode
from tests.schemas.strategies import agency_codes, new_codes, old_codes

# The codes that the standard, the directory and real messages name, with their form and level.
KNOWN = [
    ("G22", CodeForm.QD20, 1),
    ("H23", CodeForm.QD20, 1),
    ("W00", CodeForm.QD20, 1),
    ("JB2", CodeForm.QD20, 1),
    ("G12.18", CodeForm.QD20, 2),
    ("H23.12", CodeForm.QD20, 2),
    ("H23.12.3", CodeForm.QD20, 3),
    ("H37.DN.001", CodeForm.QD20, 3),
    ("000.00.00.G22", CodeForm.QCVN102, 1),
    ("000.00.00.H31", CodeForm.QCVN102, 1),
    ("000.00.09.H53", CodeForm.QCVN102, 2),
    ("000.23.32.H53", CodeForm.QCVN102, 3),
    ("001.00.20.JB2", CodeForm.QCVN102, 4),
    ("28.22.H17", CodeForm.QCVN102, 3),
    ("00.99.H29", CodeForm.QCVN102, 2),
    ("14.00.W00", CodeForm.QCVN102, 3),
    ("vxp.saas.03", CodeForm.SYSTEM, 1),
]


@pytest.mark.parametrize(("text", "form", "level"), KNOWN)
def test_codes_of_real_messages_parse(text: str, form: CodeForm, level: int) -> None:
    """Each code that is known from the axis parses to itself, with its form and level."""
    code = AgencyCode.parse(text)
    assert (str(code), code.form, code.level, ".".join(code.parts)) == (text, form, level, text)


@pytest.mark.parametrize(
    ("text", "ancestors"),
    [
        ("H23.12.3", ["H23.12", "H23"]),
        ("H37.DN.001", ["H37.DN", "H37"]),
        ("000.23.32.H53", ["000.00.32.H53", "000.00.00.H53"]),
        ("001.00.20.JB2", ["000.00.20.JB2", "000.00.00.JB2"]),
        ("001.02.20.JB2", ["000.02.20.JB2", "000.00.20.JB2", "000.00.00.JB2"]),
        ("14.00.W00", ["00.00.W00"]),
        ("000.00.00.G22", []),
        ("G22", []),
        ("vxp.saas.03", []),
    ],
)
def test_ancestors_stand_nearest_first(text: str, ancestors: list[str]) -> None:
    """The codes above a code are given in its own form, nearest first, and the last of them is its root."""
    code = AgencyCode.parse(text)
    assert [str(ancestor) for ancestor in code.ancestors()] == ancestors
    assert str(code.root) == (ancestors[-1] if ancestors else text)


@pytest.mark.parametrize(
    ("text", "fault", "mend"),
    [
        ("", "empty", "such as H23"),
        (" H23", "white space", "Write 'H23'"),
        ("H23\n", "white space", "Write 'H23'"),
        ("h23", "small letters", "Write H23."),
        ("H23.dn", "small letters", "Write H23.DN."),
        ("000.00.00.g22", "small letters", "Write 000.00.00.G22."),
        ("H23..1", "part 2 is empty", "one dot"),
        ("H23.", "part 2 is empty", "one dot"),
        (".H23", "part 1 is empty", "one dot"),
        ("H23.1-2", "part 2 ('1-2') holds '-'", "A to Z"),
        ("H23.Đ1", "part 2 ('Đ1') holds 'Đ'", "A to Z"),
        ("H２3", "part 1 ('H２3') holds '２'", "A to Z"),
        ("H23,G22", "part 1 ('H23,G22') holds ','", "A to Z"),
        ("H2", "part 1 ('H2') is no code of level 1", "such as G22"),
        ("VXP.SAAS", "part 1 ('VXP') is no code of level 1", "such as G22"),
        ("23", "part 1 ('23') is no code of level 1", "such as G22"),
        ("000.00.09.53", "part 4 ('53') is no code of level 1", "such as G22"),
        ("1.2.3.4.H53", "5 parts", "000.23.32.H53"),
        ("0001.22.H53", "part 1 ('0001')", "one to three"),
        ("0A.22.H53", "part 1 ('0A')", "digits only"),
        ("001.2345.H53", "part 2 ('2345')", "one to three"),
        ("X23." + "a" * 31, "small letters", "Write X23." + "A" * 31),
        ("vxp", "system", "vxp.saas.03"),
        ("null", "system", "vxp.saas.03"),
        ("vxp.Saas.03", "system", "vxp.saas.03"),
        ("H23." + "1" * 32, "36 characters", "at most 35"),
    ],
)
def test_a_text_that_is_no_code_is_refused_with_the_wrong_part_and_the_mend(text: str, fault: str, mend: str) -> None:
    """The refusal names the text, the part that is wrong, and what to write instead."""
    with pytest.raises(MalformedCode) as caught:
        AgencyCode.parse(text)
    assert caught.value.code == "malformed-code"
    assert repr(text) in caught.value.message
    assert fault in caught.value.message
    assert caught.value.mend is not None
    assert mend in caught.value.mend


def test_a_code_may_have_35_characters() -> None:
    """The longest code of QĐ 20/2020 is taken whole."""
    text = "H23." + "1" * 31
    assert len(text) == MAX_LENGTH
    assert AgencyCode.parse(text).value == text


def test_no_code_exists_unchecked() -> None:
    """The constructor refuses what parse refuses, so that every AgencyCode is well-formed."""
    with pytest.raises(MalformedCode):
        AgencyCode("h23")


@given(agency_codes())
def test_ancestors_are_codes_of_falling_level(code: AgencyCode) -> None:
    """Each ancestor is a code of the same form, its level lower than the one before, the root's 1."""
    levels = [step.level for step in (code, *code.ancestors())]
    assert levels == sorted(set(levels), reverse=True)
    assert code.root.level == 1
    assert {ancestor.form for ancestor in code.ancestors()} <= {code.form}
    assert code.root.ancestors() == ()


@given(new_codes() | old_codes())
def test_a_code_in_small_letters_is_refused_and_mended(code: AgencyCode) -> None:
    """A code mistyped in small letters never passes for another code; the mend is the code itself."""
    mistyped = code.value.lower()
    with pytest.raises(MalformedCode) as caught:
        AgencyCode.parse(mistyped)
    assert caught.value.mend == f"Write {code}."


@given(st.text(st.sampled_from("GH23.0a-\u0110 \n"), max_size=40))
def test_any_text_is_a_code_or_refused(text: str) -> None:
    """Parsing gives exactly the text back or raises the one error, whatever the text."""
    try:
        outcome = AgencyCode.parse(text).value
    except MalformedCode as error:
        outcome = error.code
    assert outcome in {text, "malformed-code"}


def test_codes_sort_as_their_texts() -> None:
    """The digest of a recipient list relies on codes having one order."""
    codes = [AgencyCode(text) for text in ("H23.2", "G22", "H23", "000.00.00.G22")]
    assert [str(code) for code in sorted(codes)] == ["000.00.00.G22", "G22", "H23", "H23.2"]
