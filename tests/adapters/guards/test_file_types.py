"""The file-types guard: names and contents that may travel, and those that do not fit each other."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import pytest

from adapters.guards.file_types import open_file_types
from adapters.guards.protocol import Guard, Passes, Refuses
from schemas.errors import Rejected
from tests.adapters.guards.guarded import attachment, context, message


def archive(entries: Mapping[str, bytes], *, stored: bool = False) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return made.getvalue()


def office(folder: str, *more: str, padding: int = 0) -> bytes:
    entries = {f"{folder}/document.xml": b"<w/>" + bytes(padding), "[Content_Types].xml": b"<Types/>"}
    return archive(entries | dict.fromkeys(more, b"x"), stored=bool(padding))


OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)
ODT = archive({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<x/>"}, stored=True)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PROGRAM = b"MZ\x90\x00" + bytes(60)


@pytest.fixture
async def guard() -> Guard:
    return await open_file_types(context("file-types"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("công văn 61.pdf", b"%PDF-1.7\n"),
        ("quét.PDF", b"\n\n%PDF-1.4\n"),
        ("báo cáo.docx", office("word")),
        ("lớn.docx", office("word", padding=600_000)),
        ("bảng.xlsx", office("xl")),
        ("cũ.doc", OLE),
        ("cũ.xls", OLE),
        ("văn bản.odt", ODT),
        ("nén.zip", archive({"a.txt": b"a"})),
        ("ảnh.png", PNG),
        ("ghi chú.txt", "Kính gửi: Uỷ ban".encode()),
        ("ghi chú utf-16.txt", "Kính gửi".encode("utf-16")),
        ("tcvn3.txt", b"K\xddnh g\xf6i"),
        ("rỗng.txt", b""),
        ("dài.txt", "ệ".encode() * 3000),
        ("dữ liệu.xml", b'\xef\xbb\xbf<?xml version="1.0"?><a/>'),
        ("dự thảo 1.2.docx.pdf", b"%PDF-1.7\n"),
    ],
)
async def test_what_is_what_its_name_says_passes(guard: Guard, name: str, content: bytes) -> None:
    """The kinds of file that offices exchange pass under their own extensions."""
    assert await guard.judge(message(attachment(name, content))) == Passes()


@pytest.mark.parametrize(
    ("name", "content", "rule", "said"),
    [
        ("chạy.exe", PROGRAM, "file-type-forbidden", ".exe"),
        ("van-ban.pdf.exe", PROGRAM, "file-type-forbidden", ".exe"),
        ("van-ban.pdf.exe. ", PROGRAM, "file-type-forbidden", ".exe"),
        ("README", b"x", "file-type-forbidden", "no extension"),
        ("trang.html", b"<html>", "file-type-forbidden", ".html"),
        ("van-ban.exe.pdf", b"%PDF-1.7\n", "file-name-deceives", ".exe"),
        ("van-ban\u202efdp.exe", PROGRAM, "file-name-deceives", "nobody sees"),
        ("van\x00ban.pdf", b"%PDF-1.7\n", "file-name-deceives", "nobody sees"),
        ("van-ban.pdf", PROGRAM, "file-type-mismatch", "a program"),
        ("van-ban.pdf", office("word"), "file-type-mismatch", "a Word file"),
        ("van-ban.pdf", b"", "file-type-mismatch", "an empty file"),
        ("khoá.docx", OLE, "file-type-mismatch", "a locked Office file"),
        ("nén.docx", archive({"a.exe": PROGRAM}), "file-type-mismatch", "a ZIP archive"),
        ("bảng.docx", office("xl"), "file-type-mismatch", "an Excel file"),
        ("macro.docx", office("word", "word/vbaProject.bin"), "file-type-mismatch", "with macros"),
        ("ảnh.jpg", PNG, "file-type-mismatch", "a PNG image"),
        ("ghi chú.txt", b"abc\x00def", "file-type-mismatch", "no known kind"),
        ("dữ liệu.xml", b"{}", "file-type-mismatch", "a text file"),
    ],
)
async def test_what_may_not_travel_is_refused_by_name(
    guard: Guard, name: str, content: bytes, rule: str, said: str
) -> None:
    """A forbidden, deceiving or mismatched file refuses the document under its own rule, and the reason says why."""
    verdict = await guard.judge(message(attachment("đúng.pdf"), attachment(name, content)))
    assert isinstance(verdict, Refuses)
    assert verdict.code == rule
    assert said in verdict.reason


async def test_a_kind_that_the_operator_allows_is_taken_by_its_name_unless_it_is_a_program() -> None:
    """An extension of the operator's own passes with any bytes but a program's; what the list lacks does not pass."""
    own = await open_file_types(context("file-types", allowed=[".DWG"]))
    assert await own.judge(message(attachment("bản vẽ.dwg", b"AC1032\x00"))) == Passes()
    assert isinstance(await own.judge(message(attachment("bản vẽ.dwg", PROGRAM))), Refuses)
    assert isinstance(await own.judge(message(attachment("a.pdf"))), Refuses)
    with pytest.raises(Rejected, match="allowed"):
        await open_file_types(context("file-types", allowed=["*.pdf"]))
