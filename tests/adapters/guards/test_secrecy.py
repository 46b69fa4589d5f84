"""The words guard: which texts carry a mark of secrecy, and which only a word of the language."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest

from adapters.guards.protocol import Guard, GuardedMessage, Passes, Refuses
from adapters.guards.secrecy import open_secrecy
from adapters.sdk import Override
from schemas.errors import Rejected
from schemas.message import Document, DocumentCode
from tests.adapters.guards.guarded import attachment, context, message
from tests.node.core.world import recall

MARKED = [
    "MẬT",
    "V/v thu hồi tài liệu MẬT",
    "TỐI MẬT",
    "Báo cáo tối mật quý III",
    "Tuyệt Mật",
    "[mật] Kế hoạch diễn tập",
    "Kế hoạch diễn tập (Mật)",
    "Độ mật: Mật",
    "ĐỘ MẬT: MẬT",
    "VỀ CÔNG TÁC BẢO MẬT (MẬT)",
    "KẾ HOẠCH MẬT, BẢO MẬT THÔNG TIN",
    "TỐI_MẬT",
]
UNMARKED = [
    "V/v tăng cường bảo mật thông tin",
    "VỀ VIỆC TĂNG CƯỜNG BẢO MẬT THÔNG TIN",
    "LUẬT BẢO VỆ BÍ MẬT NHÀ NƯỚC",
    "Đặt lại mật khẩu; mật độ dân số; nuôi ong lấy mật",
    "THỐNG KÊ MẬT ĐỘ DÂN SỐ",
    "MẬT ONG VÀ CÁC SẢN PHẨM TỪ ONG",
    "Quy định về độ mật",
    "MẬTX KMẬT MẬT2",
    "MÃ SỐ MẶT HÀNG, MẤT MÁT, MAT",
    "",
]
FORMS = [
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "partly composed",
    "full width",
    "with hidden characters",
    "with joiners",
    "adorned",
]


def in_form(text: str, form: str) -> str:
    match form:
        case "partly composed":
            # Â is one character, the dot below another.
            return text.replace("Ậ", "\u00c2\u0323").replace("ậ", "\u00e2\u0323")
        case "full width":
            return text.replace("M", "Ｍ").replace("m", "ｍ").replace("T", "Ｔ").replace("t", "ｔ")
        case "with hidden characters":
            return text.replace("Ậ", "\u200bẬ").replace("ậ", "ậ\u00ad")
        case "with joiners":
            # A joiner keeps the dot below from its letter, a variation selector asks for a shape that there is none of.
            return text.replace("Ậ", "\u00c2\u034f\u0323").replace("ậ", "ậ\ufe0f")
        case "adorned":
            return "".join(letter + "\u0332" for letter in text)
        case _:
            return unicodedata.normalize(form, text)  # type: ignore[arg-type]


@pytest.fixture
async def guard() -> Guard:
    return await open_secrecy(context("secrecy"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", MARKED)
async def test_a_mark_is_refused_in_any_unicode_form(guard: Guard, text: str, form: str) -> None:
    """A document whose subject carries a mark is refused, however its letters are put together."""
    verdict = await guard.judge(message(subject=in_form(text, form)))
    assert isinstance(verdict, Refuses)
    assert verdict.code == "secrecy-mark"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", UNMARKED)
async def test_a_word_of_the_language_is_no_mark(guard: Guard, text: str, form: str) -> None:
    """ "Bảo mật", "mật khẩu" and their like pass, in small letters and in capitals."""
    assert await guard.judge(message(subject=in_form(text, form))) == Passes()


def notated(number: str, notation: str) -> GuardedMessage:
    whole = message()
    assert isinstance(whole.message, Document)
    return replace(whole, message=replace(whole.message, code=DocumentCode(number=number, notation=notation)))


@pytest.mark.parametrize(
    ("marked", "place"),
    [
        (notated("12", "MẬT-BCA"), "notation"),
        (notated("12-MẬT", "BCA"), "number"),
        (message(attachment("kế_hoạch_TỐI_MẬT.pdf")), "file name"),
        (message(attachment("a.pdf"), attachment(unicodedata.normalize("NFD", "MẬT.docx"))), "file name"),
    ],
)
async def test_number_notation_and_file_names_are_read(guard: Guard, marked: GuardedMessage, place: str) -> None:
    """A mark in the number, the notation or any file name refuses the document, and the reason says where it is."""
    verdict = await guard.judge(marked)
    assert isinstance(verdict, Refuses)
    assert place in verdict.reason


async def test_an_override_lets_a_marked_document_pass_and_is_spoken_of(guard: Guard) -> None:
    """With a person's word the document passes, and the verdict says so."""
    verdict = await guard.judge(message(subject="KẾ HOẠCH MẬT", override=Override("Trần Văn B", "Đã giải mật")))
    assert isinstance(verdict, Passes)
    assert "override" in verdict.note


async def test_an_operator_may_heed_no_override() -> None:
    """Where the setting says so, nobody's word lets a marked document pass."""
    strict = await open_secrecy(context("secrecy", heed_overrides=False))
    assert isinstance(await strict.judge(message(subject="KẾ HOẠCH MẬT", override=Override("B", "C"))), Refuses)


async def test_a_document_that_was_sent_by_mistake_can_be_recalled(guard: Guard) -> None:
    """A recall passes though it quotes the subject: whoever has the document is to give it back."""
    marked = message(subject="KẾ HOẠCH MẬT")
    assert isinstance(marked.message, Document)
    assert await guard.judge(replace(marked, message=recall(marked.message))) == Passes()


async def test_the_words_are_the_operators(guard: Guard) -> None:
    """Other words can be set, and none of them may be empty."""
    own = await open_secrecy(context("secrecy", words=["LƯU HÀNH NỘI BỘ"], harmless=[]))
    assert isinstance(await own.judge(message(subject="Tài liệu lưu hành nội bộ")), Refuses)
    assert await own.judge(message(subject="KẾ HOẠCH MẬT")) == Passes()
    with pytest.raises(Rejected, match="words"):
        await open_secrecy(context("secrecy", words=["MẬT", " - "]))
