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
#: Whose node lets through what bears a mark of secrecy: the guards of all others refuse it, going out and coming in.
UNGUARDED = CODES[0]

_KIB = 1024
#: Sizes of attachments in bytes, log-uniform between the bounds, and how often each range is drawn.
_SIZES = (((1 * _KIB, 16 * _KIB), 80), ((16 * _KIB, 256 * _KIB), 17), ((256 * _KIB, 2048 * _KIB), 3))
LARGEST = 20 * 1024 * _KIB
#: Every so many letters one has an attachment of 2 to 20 MB, the first of exactly 20 MB.
_LARGE_EVERY, _FIRST_LARGE = 400, 30
_UNKNOWN_EVERY = 32
#: Every so many letters one bears a mark of secrecy, the first of them this one.
_MARKED_EVERY, _FIRST_MARKED = 20, 4
_AMENDING_EVERY = 12
#: What a letter that amends another does, in turn.
_BUSINESS = ("recall", "replace", "update")
#: It speaks of one of this many letters before it: often both are on their way.
_AMENDING_WITHIN = 40
_ANSWERED, _RETURNED = 0.3, 0.4
_PRIORITIES = (0, 0, 0, 0, 0, 1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Letter:
    """A document to be sent. `sizes` are those of its attachments, in bytes; `amends` is the number of the letter that
    it takes back, updates or replaces (`business`); `is_marked`: its subject bears a mark of secrecy; `answers` are the
    statuses that each recipient's software gives, in order."""

    number: int
    sender: str
    recipients: tuple[str, ...]
    priority: int
    sizes: tuple[int, ...]
    amends: int | None = None
    business: str | None = None
    answers: tuple[str, ...] = ()
    is_marked: bool = False

    @property
    def name(self) -> str:
        """Its name in out/, the idempotency key of whoever drops it."""
        return f"letter-{self.number}"

    @property
    def document_id(self) -> str:
        return document_id_of(self.sender, self.number)

    @property
    def is_refused(self) -> bool:
        """The sender's node refuses it. One that `is_marked` and gets past that is refused by its recipients' nodes."""
        return NOBODY in self.recipients or (self.is_marked and self.sender != UNGUARDED)

    @property
    def is_returned(self) -> bool:
        """The recipients' software refuses it."""
        return self.answers == RETURNED


#: The answer of software that does not take a document.
RETURNED = ("02",)


def document_id_of(sender: str, number: int) -> str:
    """The DocumentId of a letter."""
    return f"{sender},2026/11/22,{number}/CRASH"


def letters(documents: int, seed: int) -> Iterator[Letter]:
    """`documents` letters, the same for the same seed."""
    chance = random.Random(f"letters {seed}")
    amendable: list[Letter] = []
    for number in range(documents):
        letter = _letter(number, chance, amendable)
        if letter.amends is None and not letter.answers and not letter.is_refused and not letter.is_marked:
            amendable = [*amendable[1 - _AMENDING_WITHIN :], letter]
        yield letter


def _letter(number: int, chance: random.Random, amendable: list[Letter]) -> Letter:
    if number % _AMENDING_EVERY == _AMENDING_EVERY - 1 and amendable:
        return _amending(number, chance, amendable.pop(chance.randrange(len(amendable))))
    sender = chance.choice(CODES)
    others = [code for code in CODES if code != sender]
    recipients = tuple(chance.sample(others, chance.choice((1, 1, 2))))
    if number % _UNKNOWN_EVERY == _UNKNOWN_EVERY - 1:
        return Letter(number, sender, (*recipients, NOBODY), 0, (_KIB,))
    if number % _MARKED_EVERY == _FIRST_MARKED:
        return Letter(number, sender, recipients, 0, (_KIB,), is_marked=True)
    sizes = tuple(_size(chance) for _ in range(chance.choice((1, 1, 1, 2, 3))))
    if number % _LARGE_EVERY == _FIRST_LARGE:
        sizes = (LARGEST if number == _FIRST_LARGE else chance.randrange(LARGEST // 10, LARGEST),)
    lot = chance.random()
    answers = ("03", "06") if lot < _ANSWERED else RETURNED if lot < _RETURNED else ()
    return Letter(number, sender, recipients, chance.choice(_PRIORITIES), sizes, answers=answers)


def _amending(number: int, chance: random.Random, before: Letter) -> Letter:
    business = _BUSINESS[number // _AMENDING_EVERY % len(_BUSINESS)]
    return Letter(
        number,
        before.sender,
        before.recipients,
        before.priority,
        () if business == "recall" else (_size(chance),),
        amends=before.number,
        business=business,
        answers=() if business == "replace" else ("15",),
    )


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
