"""Agency identification codes: today's form (QĐ 20/2020), the older one (QCVN 102) and those of connecting systems.

Old and new codes of one agency are related by a table in the agency directory, never by arithmetic: nothing here turns
one form into another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from schemas.errors import MalformedCode

#: QĐ 20/2020/QĐ-TTg bounds a code, dots included.
MAX_LENGTH = 35
#: The older form is V.Z.Y.M.
_OLDER_PARTS = 4

# Level 1, in both forms: a letter and two more characters of which one at least is a digit (`G22`, `H23`, `JB2`).
_ROOT = r"[A-Z](?:[0-9][0-9A-Z]|[A-Z][0-9])"
_QD20 = re.compile(rf"{_ROOT}(?:\.[0-9A-Z]+)*", re.ASCII)
# V.Z.Y.M, and the shorter forms that real systems hold (`28.22.H17`). A first part with a letter could be a root.
_QCVN102 = re.compile(rf"[0-9]{{1,3}}(?:\.[0-9A-Z]{{1,3}}){{0,2}}\.{_ROOT}", re.ASCII)
_SYSTEM = re.compile(r"[a-z][0-9a-z]*(?:\.[0-9a-z]+)+", re.ASCII)

_ROOT_PART = re.compile(_ROOT, re.ASCII)
_FOREIGN_CHARACTER = re.compile(r"[^0-9A-Za-z]", re.ASCII)


class CodeForm(StrEnum):
    """How a code is built: level 1 first, level 1 last, or the name of a system that is no agency."""

    QD20 = "qd20"
    QCVN102 = "qcvn102"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, order=True)
class AgencyCode:
    """A well-formed code: `H23.12.3`, `000.23.32.H53` or `vxp.saas.03`.

    Raises:
        MalformedCode: `value` has none of the three forms.
    """

    value: str

    def __post_init__(self) -> None:
        if len(self.value) > MAX_LENGTH or _form_of(self.value) is None:
            raise _explained(self.value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The code that `text` is, exactly as written.

        Raises:
            MalformedCode: naming the text, its wrong part and the mend.
        """
        return cls(text)

    @property
    def form(self) -> CodeForm:
        if self.value[0].isdigit():
            return CodeForm.QCVN102
        return CodeForm.QD20 if self.value[0].isupper() else CodeForm.SYSTEM

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts between the dots, in the order written."""
        return tuple(self.value.split("."))

    @property
    def level(self) -> int:
        """The level that the agency stands on: 1 for `H23` and `000.00.00.G22`, 3 for `000.23.32.H53`.

        A system stands under nobody: level 1.
        """
        parts = self.parts
        match self.form:
            case CodeForm.QD20:
                return len(parts)
            case CodeForm.QCVN102:
                return len(parts) - next(place for place, part in enumerate(parts) if part.strip("0"))
            case CodeForm.SYSTEM:
                return 1

    def ancestors(self) -> tuple[AgencyCode, ...]:
        """The codes above this one, nearest first, in its own form; empty for level 1 and for a system.

        In the older form a level is left by writing zeros: above `000.23.32.H53` stand `000.00.32.H53` and
        `000.00.00.H53`. A level that is already zeros is passed over.
        """
        parts = self.parts
        match self.form:
            case CodeForm.QD20:
                above = [parts[:length] for length in range(len(parts) - 1, 0, -1)]
            case CodeForm.QCVN102:
                set_places = [place for place, part in enumerate(parts[:-1]) if part.strip("0")]
                above = [
                    tuple("0" * len(part) for part in parts[: place + 1]) + parts[place + 1 :] for place in set_places
                ]
            case CodeForm.SYSTEM:
                above = []
        return tuple(AgencyCode(".".join(code)) for code in above)

    @property
    def root(self) -> AgencyCode:
        """The code of level 1 above this one, or the code itself."""
        return (self, *self.ancestors())[-1]

    def __str__(self) -> str:
        return self.value


def _form_of(text: str) -> CodeForm | None:
    for pattern, form in ((_QD20, CodeForm.QD20), (_QCVN102, CodeForm.QCVN102)):
        if pattern.fullmatch(text):
            return form
    # `h23.12` is an agency's code mistyped, not a system's name: taking it would make one agency two.
    if _SYSTEM.fullmatch(text) and _form_of(text.upper()) is None:
        return CodeForm.SYSTEM
    return None


def _explained(text: str) -> MalformedCode:
    """The error for a text that has none of the three forms."""
    shown = repr(text if len(text) <= 2 * MAX_LENGTH else text[: 2 * MAX_LENGTH] + "…")

    def error(fault: str, mend: str) -> MalformedCode:
        return MalformedCode("malformed-code", f"{shown} is no agency code: {fault}.", mend=mend)

    if not text:
        return error("it is empty", "Write the agency's code, such as H23.")
    if text != text.strip():
        return error("white space stands around it", f"Write {text.strip()[:MAX_LENGTH]!r}.")
    if len(text) > MAX_LENGTH:
        return error(f"it has {len(text)} characters", f"A code has at most {MAX_LENGTH}.")
    parts = text.split(".")
    for place, part in enumerate(parts, start=1):
        if not part:
            return error(f"part {place} is empty", "Write the parts with one dot between two, none at the ends.")
        if found := _FOREIGN_CHARACTER.search(part):
            return error(
                f"part {place} ({part!r}) holds {found[0]!r}", "A code has digits and the letters A to Z without marks."
            )
    if text != text.upper() and _form_of(text.upper()) is not None:
        return error("it has small letters", f"Write {text.upper()}.")
    if any(letter.islower() for letter in text):
        return error(
            "small letters belong to the name of a system, which has two parts or more and no capitals",
            "Write an agency's code in capitals, a system's name like vxp.saas.03.",
        )
    root_shape = "Level 1 is a letter and two characters, a digit among them, such as G22, H23 or JB2."
    if not parts[0][0].isdigit():
        return error(f"part 1 ({parts[0]!r}) is no code of level 1", root_shape)
    # From here on it begins with a digit: the older form, level 1 last.
    if not _ROOT_PART.fullmatch(parts[-1]):
        return error(f"part {len(parts)} ({parts[-1]!r}) is no code of level 1, which ends the older form", root_shape)
    if len(parts) > _OLDER_PARTS:
        return error(
            f"it has {len(parts)} parts, the older form {_OLDER_PARTS} at most",
            "Write it like 000.23.32.H53, or in today's form.",
        )
    place = next(place for place, part in enumerate(parts) if len(part) > 3 or (place == 0 and not part.isdigit()))
    return error(
        f"part {place + 1} ({parts[place]!r}) is no part of the older form",
        "Write one to three characters, in the first part digits only.",
    )
