"""Finding marks in text as a person reads them: whole words, in any Unicode form.

A mark of several words ("TỐI MẬT") is found in any case. A mark of one word ("MẬT") is an everyday word too, in small
letters: it is found as it is written in the settings, or in any case where it stands alone ("Độ mật: Mật", "[mật]").
Words of the language that hold it ("BẢO MẬT", "MẬT KHẨU") are named in the settings and count as no mark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")

#: Letters that show nothing and are no format characters (Unicode's Default_Ignorable_Code_Point).
_UNSEEN: Final = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

#: Strokes and rings over letters that are whole without them: every letter of Vietnamese has a composed form.
_ADORNMENT: Final = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")

#: What may stand between the words of one expression; anything else parts them.
_JOINT: Final = re.compile(r"[\s_\-\u2010-\u2015]*")


@dataclass(frozen=True, slots=True)
class _Word:
    """A word as written, and whether what stands before it, and after it, parts it from its neighbours."""

    written: str
    folded: str
    begins: bool
    ends: bool


class Marks:
    """Marks to find, and the expressions that hold one and are none."""

    def __init__(self, marks: Collection[str], harmless: Collection[str]) -> None:
        read = sorted((_words(_seen(each)) for each in marks), key=len, reverse=True)
        self._expressions = [mark for mark in read if len(mark) > 1]
        self._words = [mark for mark in read if len(mark) == 1]
        self._telling = {mark[0].folded for mark in read}
        self._harmless = [_words(_seen(each)) for each in harmless]

    def first_in(self, text: str) -> str | None:
        """The first mark that `text` carries, those of several words first; None if it carries none."""
        seen = _seen(text)
        if not any(word in seen.casefold() for word in self._telling):
            # Nearly every text there is: cutting it into words would cost ten times as much.
            return None
        words = _words(seen)
        for mark in self._expressions:
            if next(_places(words, mark), None) is not None:
                return " ".join(word.written for word in mark)
        for mark in self._words:
            for place in _places(words, mark):
                word = words[place]
                is_alone = word.begins and word.ends
                if is_alone or (word.written == mark[0].written and not self._is_harmless(words, place)):
                    return word.written
        return None

    def _is_harmless(self, words: Sequence[_Word], place: int) -> bool:
        """Whether the word at `place` is part of a harmless expression."""
        return any(
            start <= place < start + len(expression)
            for expression in self._harmless
            for start in _places(words, expression)
        )


def _seen(text: str) -> str:
    """`text` as people see it: in the one form that NFKC gives, without characters that show nothing or only adorn."""
    composed = unicodedata.normalize("NFKC", text)
    if composed.isprintable() and not (_UNSEEN.search(composed) or _ADORNMENT.search(composed)):
        return composed
    # Composed again: what stood between a letter and its accent is gone. Accents that are left then belong to nothing.
    shown = _UNSEEN.sub("", "".join(letter for letter in composed if unicodedata.category(letter) != "Cf"))
    return _ADORNMENT.sub("", unicodedata.normalize("NFKC", shown))


def _words(seen: str) -> tuple[_Word, ...]:
    found = list(_WORD.finditer(seen))
    words = []
    for number, match in enumerate(found):
        before = seen[found[number - 1].end() : match.start()] if number else None
        after = seen[match.end() : found[number + 1].start()] if number + 1 < len(found) else None
        words.append(_Word(match.group(), match.group().casefold(), begins=_parts(before), ends=_parts(after)))
    return tuple(words)


def _parts(between: str | None) -> bool:
    return between is None or not _JOINT.fullmatch(between)


def _places(words: Sequence[_Word], wanted: Sequence[_Word]) -> Iterator[int]:
    """Where `wanted` begins in `words`, whatever the case, nothing parting its words."""
    for start in range(len(words) - len(wanted) + 1):
        if words[start].folded != wanted[0].folded:
            continue
        here = words[start : start + len(wanted)]
        is_joined = not any(word.ends for word in here[:-1])
        if is_joined and all(one.folded == other.folded for one, other in zip(here, wanted, strict=True)):
            yield start
