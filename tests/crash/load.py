"""What the agencies send each other: letters by seed, each with its recipients, attachments, and what follows it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from congvan.demo.site import Member

MEMBERS = (
    Member("G22", "Văn phòng Chính phủ"),
    Member("H23", "UBND tỉnh Hải Dương", ("000.00.00.H23",)),
    Member("H31", "UBND tỉnh Hưng Yên"),
)
CODES = tuple(member.code for member in MEMBERS)
#: An agency that no directory knows: what goes there is to be refused, with the reason.
NOBODY = "H99"

_KIB = 1024
#: Sizes of attachments in bytes, log-uniform between the bounds, and how often each range is drawn.
_SIZES = (((1 * _KIB, 16 * _KIB), 80), ((16 * _KIB, 256 * _KIB), 17), ((256 * _KIB, 2048 * _KIB), 3))
LARGEST = 20 * 1024 * _KIB
#: Every so many letters one has an attachment of 2 to 20 MB, the first of exactly 20 MB.
_LARGE_EVERY, _FIRST_LARGE = 400, 30
_UNKNOWN_EVERY = 50
_RECALL_EVERY = 12
#: A recall takes back one of this many letters before it: often both are on their way.
_RECALL_WITHIN = 40
_ANSWERED = 0.3
_PRIORITIES = (0, 0, 0, 0, 0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Letter:
    """A document to be dropped. `sizes` are those of its attachments, in bytes; `recalls` is the number of the letter
    that it takes back; `answers` are the statuses that each recipient's software gives, in order."""

    number: int
    sender: str
    recipients: tuple[str, ...]
    priority: int
    sizes: tuple[int, ...]
    recalls: int | None = None
    answers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in out/, the idempotency key of whoever drops it."""
        return f"letter-{self.number}"

    @property
    def document_id(self) -> str:
        return f"{self.sender},2026/11/22,{self.number}/CRASH"

    @property
    def is_refused(self) -> bool:
        return NOBODY in self.recipients


def letters(documents: int, seed: int) -> Iterator[Letter]:
    """`documents` letters, the same for the same seed."""
    chance = random.Random(f"letters {seed}")
    recallable: list[Letter] = []
    for number in range(documents):
        letter = _letter(number, chance, recallable)
        if letter.recalls is None and not letter.answers and not letter.is_refused:
            recallable = [*recallable[1 - _RECALL_WITHIN :], letter]
        yield letter


def _letter(number: int, chance: random.Random, recallable: list[Letter]) -> Letter:
    if number % _RECALL_EVERY == _RECALL_EVERY - 1 and recallable:
        taken_back = recallable.pop(chance.randrange(len(recallable)))
        return Letter(
            number, taken_back.sender, taken_back.recipients, taken_back.priority, (), taken_back.number, ("15",)
        )
    sender = chance.choice(CODES)
    others = [code for code in CODES if code != sender]
    recipients = tuple(chance.sample(others, chance.choice((1, 1, 2))))
    if number % _UNKNOWN_EVERY == _UNKNOWN_EVERY - 1:
        return Letter(number, sender, (*recipients, NOBODY), 0, (_KIB,))
    sizes = tuple(_size(chance) for _ in range(chance.choice((1, 1, 1, 2, 3))))
    if number % _LARGE_EVERY == _FIRST_LARGE:
        sizes = (LARGEST if number == _FIRST_LARGE else chance.randrange(LARGEST // 10, LARGEST),)
    answers = ("03", "06") if chance.random() < _ANSWERED else ()
    return Letter(number, sender, recipients, chance.choice(_PRIORITIES), sizes, answers=answers)


def _size(chance: random.Random) -> int:
    (low, high), _ = chance.choices(_SIZES, weights=[weight for _, weight in _SIZES])[0]
    return int(low * (high / low) ** chance.random())


def attachments(letter: Letter, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each attachment: no two letters have the same ones."""
    for place, size in enumerate(letter.sizes):
        yield f"van-ban-{place}.pdf", b"%PDF-" + random.Random(f"{seed} {letter.number} {place}").randbytes(size - 5)


def volume(documents: int, seed: int) -> int:
    """The bytes of all attachments, counted once for the sender and once for each recipient."""
    return sum(sum(letter.sizes) * (1 + len(letter.recipients)) for letter in letters(documents, seed))
