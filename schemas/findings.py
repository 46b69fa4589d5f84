"""What a reader or a writer noticed and went on: nothing is repaired in silence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One departure from the form of edXML that did not stop the work.

    `code` is a stable kebab-case name, `message` one sentence that says what was found and what was made of it,
    `element` a path of element names, `line` the line in the source. `strict_refuses` is True where a strict
    receiver on the axis is known to refuse the message, or to lose or misread this part of it.
    """

    code: str
    message: str
    element: str | None = None
    line: int | None = None
    strict_refuses: bool = False

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        where = f" [{self.element}]" if self.element else ""
        return f"{place}{self.message}{where} (rule: {self.code})"
