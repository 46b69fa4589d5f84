"""File names made of what strangers wrote."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.names import MAX_BYTES, safe_name

ANY_TEXT = st.text(max_size=300) | st.text(alphabet="./\\ :cCoOnN\u202e\x00aé", max_size=12)


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("6101_VPCP_KSTT.pdf", "6101_VPCP_KSTT.pdf"),
        ("Phụ lục: biểu mẫu báo cáo.xlsx", "Phụ lục_ biểu mẫu báo cáo.xlsx"),
        ("../../etc/passwd", "_._etc_passwd"),
        ("..\\..\\boot.ini", "_.._boot.ini"),
        ("C:\\x.doc", "C__x.doc"),
        ("a\x00b\nc.pdf", "ab c.pdf"),
        ("công\u202efdp.exe", "côngfdp.exe"),
        ("CON", "_CON"),
        ("con.pdf", "_con.pdf"),
        ("Lpt1 .tar.gz", "_Lpt1 .tar.gz"),
        ("COM¹.txt", "_COM¹.txt"),
        ("console.txt", "console.txt"),
        (".htaccess", "htaccess"),
        ("a.pdf. . ", "a.pdf"),
        ("", "attachment"),
        ("...", "attachment"),
        ("\u200b\u200b", "attachment"),
    ],
)
def test_a_dangerous_name_becomes_a_plain_one(given_name: str, safe: str) -> None:
    """Separators, invisible characters, devices and dots at the ends are taken out; a harmless name stays as it is."""
    assert safe_name(given_name, ()) == safe


def test_decomposed_vietnamese_becomes_the_composed_form() -> None:
    """Two systems that write the same name in NFC and NFD get the same file name."""
    name = "Quyết định số 5.pdf"
    assert safe_name(unicodedata.normalize("NFD", name), ()) == unicodedata.normalize("NFC", name)


def test_names_that_differ_only_in_case_are_kept_apart() -> None:
    """On a file system that ignores case, no attachment overwrites another."""
    assert safe_name("Report.PDF", {"report.pdf"}) == "Report (2).PDF"
    assert safe_name("report.pdf", {"report.pdf", "REPORT (2).pdf"}) == "report (3).pdf"


def test_a_long_name_keeps_its_extension_within_255_bytes() -> None:
    """A name of three-byte letters is cut between letters, before its extension, even where a number is added."""
    first = safe_name("ế" * 300 + ".docx", ())
    second = safe_name("ế" * 300 + ".docx", {first})
    assert first == "ế" * 83 + ".docx"
    assert second.endswith(" (2).docx")
    assert len(second.encode()) <= MAX_BYTES


@given(names=st.lists(ANY_TEXT, max_size=8))
def test_every_name_stays_in_its_folder_and_is_unique(names: list[str]) -> None:
    """Whatever the names, the results are distinct without regard to case, plain, and at most 255 bytes long."""
    taken: list[str] = []
    for name in names:
        made = safe_name(name, taken)
        assert Path("/folder", made).name == made
        assert made not in {"", ".", ".."}
        assert not set(made) & set('/\\\x00:*?"<>|\u202e\u2066')
        assert made.strip(". ") == made
        assert unicodedata.is_normalized("NFC", made)
        assert len(made.encode()) <= MAX_BYTES
        assert made.casefold() not in {other.casefold() for other in taken}
        taken.append(made)
