"""Lenient access to what a classic element holds: one name, one value; what departs from the form is noted or refused.

Refused is what has two meanings (an element twice, markup inside a text) and what a message cannot be without. The rest
gets a neutral value and a finding.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from schemas.classic_elements import ClassicElement, Findings
from schemas.codes import AgencyCode
from schemas.errors import MalformedCode, MalformedMessage
from schemas.times import DateText, TimestampText

_NUMBER = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
#: Numbers of edXML fit 32 bits: the reading libraries of the axis take no larger ones.
_LARGEST = 2**31
_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_WHITE_SPACE = " \t\r\n"


class ClassicFields:
    """The children of `element` by name: `names` are those that the form knows there, `lists` those that may repeat."""

    def __init__(
        self, element: ClassicElement, names: Collection[str], findings: Findings, lists: Collection[str] = ()
    ) -> None:
        """
        Raises:
            MalformedMessage: `element-repeated`.
        """
        self.element = element
        self._findings = findings
        self._children: dict[str, list[ClassicElement]] = {}
        for child in element.children:
            if child.name not in names:
                findings.add("unknown-element", f"{child.name} is no element of the form here; it is left out.", child)
                continue
            found = self._children.setdefault(child.name, [])
            if found and child.name not in lists:
                raise child.located(
                    MalformedMessage(
                        "element-repeated",
                        f"{child.name} stands twice, so that readers differ on which one counts.",
                        mend="Write it once.",
                    )
                )
            found.append(child)
        if element.text.strip(_WHITE_SPACE):
            findings.add("stray-text", f"{element.name} holds text between its elements; it is left out.", element)

    def each(self, name: str) -> list[ClassicElement]:
        return self._children.get(name, [])

    def child(self, name: str) -> ClassicElement | None:
        found = self.each(name)
        return found[0] if found else None

    def required(self, name: str) -> ClassicElement:
        """
        Raises:
            MalformedMessage: `element-missing`.
        """
        child = self.child(name)
        if child is None:
            raise self.missing(name)
        return child

    def expected(self, name: str) -> ClassicElement | None:
        """The child that the form asks for; a finding where it is missing."""
        child = self.child(name)
        if child is None:
            self._note_missing(name)
        return child

    def text(self, name: str) -> str | None:
        """The text as written, None where the element is absent."""
        child = self.child(name)
        return None if child is None else text_of(child, self._findings)

    def expected_text(self, name: str) -> str:
        """The text as written; nothing, and a finding, where the element is absent."""
        text = self.text(name)
        if text is None:
            self._note_missing(name)
            return ""
        return text

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(text_of(child, self._findings) for child in self.each(name))

    def word(self, name: str) -> str | None:
        """A text that means one word, white space around it taken off; None where the element is absent or empty."""
        child = self.child(name)
        return None if child is None else word_of(child, self._findings) or None

    def number(self, name: str) -> int | None:
        """A whole number of 32 bits; None, and a finding, where the text is none."""
        word = self.word(name)
        if word is None:
            if self.child(name) is not None:
                self.note(name, "number-unreadable", f"{name} is empty, where a number is meant.")
            return None
        number = int(word) if _NUMBER.fullmatch(word) else None
        if number is None or not -_LARGEST <= number < _LARGEST:
            self.note(name, "number-unreadable", f"{name} is {_quoted(word)}, which is no number; it is left out.")
            return None
        return number

    def flag(self, name: str) -> bool:
        """Yes or no, written 1 or 0; no, and a finding, where the text is neither."""
        word = self.word(name)
        if word is None:
            self._note_missing(name)
            return False
        if word.lower() not in _FLAGS:
            self.note(name, "flag-unreadable", f"{name} is {_quoted(word)}, neither 0 nor 1; it is read as 0.")
            return False
        if word not in ("0", "1"):
            self.note(name, "flag-unreadable", f"{name} is {_quoted(word)} instead of 0 or 1.")
        return _FLAGS[word.lower()]

    def agency(self, name: str) -> AgencyCode:
        """The code of an agency that must be there.

        Raises:
            MalformedMessage: `element-missing`.
            MalformedCode: the text is no code.
        """
        return code_of(self.required(name), self._findings)

    def agency_if_known(self, name: str) -> AgencyCode | None:
        """A code that a message can do without: None, and a finding, where the text is none."""
        word = self.word(name)
        if word is None:
            if self.child(name) is not None:
                self.note(name, "agency-unknown", f"{name} is empty.")
            return None
        try:
            return AgencyCode.parse(word)
        except MalformedCode:
            self.note(name, "agency-unknown", f"{name} is {_quoted(word)}, which is no agency code; it is left out.")
            return None

    def date(self, name: str) -> DateText | None:
        """A date as written, with a finding where a strict receiver would not read it; None where there is no text."""
        word = self.word(name)
        if word is None:
            if (child := self.child(name)) is not None:
                self._findings.add("date-empty", f"{name} is empty; it is left out.", child)
            return None
        date = DateText(word)
        if date.date is None:
            self.note(name, "date-impossible", f"{name} is {_quoted(date.text)}, which is no day; it is kept as it is.")
        elif not date.is_canonical:
            self.note(name, "date-form", f"{name} is {_quoted(date.text)} and not written yyyy/MM/dd; it is kept.")
        return date

    def timestamp(self, name: str) -> TimestampText:
        """A time as written, with a finding where a strict receiver would not read it."""
        child = self.child(name)
        if child is None:
            self._note_missing(name)
            return TimestampText("")
        time = TimestampText(word_of(child, self._findings))
        if time.instant is None:
            self.note(
                name, "time-impossible", f"{name} is {_quoted(time.text)}, which is no time; it is kept as it is."
            )
        elif not time.is_canonical:
            self.note(name, "time-form", f"{name} is {_quoted(time.text)} and not written yyyy/MM/dd HH:mm:ss.")
        return time

    def note(self, name: str, code: str, message: str) -> None:
        """A finding about the child `name`, which strict receivers refuse, lose or misread."""
        self._findings.add(code, message, self.child(name) or self.element, strict_refuses=True)

    def missing(self, name: str) -> MalformedMessage:
        """The error of an element that a message cannot be without."""
        return self.element.located(
            MalformedMessage("element-missing", f"{self.element.name} has no {name}.", mend=f"Write {name}.")
        )

    def _note_missing(self, name: str) -> None:
        self._findings.add("element-missing", f"{self.element.name} has no {name}.", self.element, strict_refuses=True)


def text_of(element: ClassicElement, findings: Findings) -> str:
    """The text of an element that holds text alone, its carriage returns made line feeds.

    Raises:
        MalformedMessage: `text-with-markup`: an element stands inside, whose text one reader sees and another does not.
    """
    if element.children or element.holds_foreign:
        raise element.located(
            MalformedMessage("text-with-markup", f"{element.name} holds more than text.", mend="Write text alone.")
        )
    text = element.text
    if "\r" in text:
        findings.add("carriage-return", "A carriage return is read as a line feed.", element)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.strip(_WHITE_SPACE) != text:
        findings.add(
            "white-space",
            "White space stands around the text; strict receivers take it for a part of the value.",
            element,
            strict_refuses=True,
        )
    return text


def word_of(element: ClassicElement, findings: Findings) -> str:
    """The text of an element that means one word, white space around it taken off.

    Raises:
        MalformedMessage: `text-with-markup`.
    """
    return text_of(element, findings).strip(_WHITE_SPACE)


def code_of(element: ClassicElement, findings: Findings) -> AgencyCode:
    """
    Raises:
        MalformedCode: the element's text is no agency code.
    """
    try:
        return AgencyCode.parse(word_of(element, findings))
    except MalformedCode as error:
        raise element.located(error) from None


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
