"""The guard `secrecy`: marks of state secrets in subject, number, notation and file names.

It catches the mistake of an honest clerk. A level in the metadata needs no guard: node and hub refuse it, always.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator

from adapters.guards.marks import Marks
from adapters.guards.protocol import Guard, GuardContext, GuardedMessage, Passes, Refuses, Verdict
from adapters.sdk import Health
from runtime.settings import Settings, settings_of
from schemas.message import BusinessType, Document


def _no_empty_words(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(any(letter.isalnum() for letter in word) for word in words):
        raise ValueError("an entry has no letter")
    return words


Words = Annotated[tuple[str, ...], AfterValidator(_no_empty_words)]


class SecrecySettings(Settings):
    """Marks of state secrets in subject, number, notation and file names: a document that carries one is refused.

    Runs unless `enabled` is false. An outgoing document can be sent in spite of it by a person who answers for that
    (`congvan node send --override WHY --override-by WHO`).
    """

    words: Words = ("MẬT", "TỐI MẬT", "TUYỆT MẬT")
    """The marks, as whole words, in any Unicode form. Of several words: in capitals or not. Of one word: written like
    this, or in any case where it stands alone, as in "Độ mật: Mật" and "[mật]"."""
    harmless: Words = (
        "bảo mật",
        "bí mật",
        "cẩn mật",
        "cơ mật",
        "dịch mật",
        "đường mật",
        "độ mật",
        "gan mật",
        "giải mật",
        "mật danh",
        "mật độ",
        "mật gấu",
        "mật hiệu",
        "mật khẩu",
        "mật mã",
        "mật mía",
        "mật nghị",
        "mật ong",
        "mật thiết",
        "mật thư",
        "mật tông",
        "nghiêm mật",
        "ống mật",
        "rỉ mật",
        "sỏi mật",
        "thân mật",
        "trăng mật",
        "túi mật",
    )
    """Expressions that hold such a word and are no mark, in capitals or not."""
    heed_overrides: bool = True
    """Whether a document passes that a person at the sender answers for; it is signed with who, and why."""


async def open_secrecy(context: GuardContext) -> Guard:
    """Raises `settings-invalid`."""
    return _Secrecy(settings_of(SecrecySettings, context.settings, source=f"[guards.{context.name}]"))


class _Secrecy:
    def __init__(self, settings: SecrecySettings) -> None:
        self._marks = Marks(settings.words, settings.harmless)
        self._heeds_overrides = settings.heed_overrides

    async def judge(self, message: GuardedMessage) -> Verdict:
        for place, text in _texts(message):
            mark = self._marks.first_in(text)
            if mark is None:
                continue
            if message.override is not None and self._heeds_overrides:
                return Passes(
                    f"The {place} carries the mark {mark}; let through by override of {message.override.by}: "
                    f"{message.override.reason}"
                )
            return Refuses(
                "secrecy-mark",
                f"Văn bản có dấu hiệu mật «{mark}», không được gửi qua trục. / The {place} carries the mark {mark}: "
                f"{text[:120]!r}.",
            )
        return Passes()

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


def _texts(message: GuardedMessage) -> Iterator[tuple[str, str]]:
    document = message.message
    # A recall quotes a document that was sent: whatever came out by mistake must be let back.
    if isinstance(document, Document) and document.business_type is not BusinessType.RECALL:
        yield "subject", document.subject
        yield "number", document.code.number
        yield "notation", document.code.notation
    for attachment in message.attachments:
        yield "file name", attachment.name
