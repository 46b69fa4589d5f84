"""The two families of error, by what the caller must do.

`Rejected`: what was handed in is at fault, and trying again cannot help. `Unavailable`: a peer or a
resource is at fault, and trying again later can. Every error names the thing, the rule and the mend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from schemas.receipts import SignedReceipt


class CongvanError(Exception):
    """An error that a person can act on.

    `code` is a stable kebab-case name of the rule that did not hold (the same name stands in problem
    documents, logs and tests). `message` is one sentence. `element` is the place inside a message, as a path
    of element names (`MessageHeader/To[2]/OrganId`); `line` the line in `source` (a file name or a part's
    name); `mend` one sentence on what to do.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        element: str | None = None,
        line: int | None = None,
        source: str | None = None,
        mend: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.element = element
        self.line = line
        self.source = source
        self.mend = mend

    def located(self, source: str) -> Self:
        """The same error, naming the file or part it was found in (kept if it already names one)."""
        if self.source is None:
            self.source = source
        return self

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line) if part is not None)
        sentence = f"{place}: {self.message}" if place else self.message
        if self.element:
            sentence += f" [{self.element}]"
        sentence += f" (rule: {self.code})"
        if self.mend:
            sentence += f" {self.mend}"
        return sentence


class Rejected(CongvanError):  # noqa: N818 - the family's name says what happened, as style.md asks
    """What was handed in breaks a rule; the same input will always be refused.

    `receipt` is the refuser's signed word for it, if it gave one: of this process's own making, or as it came and then
    not verified yet.
    """

    receipt: SignedReceipt | None = None


class Unavailable(CongvanError):  # noqa: N818 - as above
    """A peer, a source or a resource cannot serve now; the same input may succeed later.

    `retry_after` is a wait in seconds that the peer asked for, if it did.
    """

    retry_after: float | None = None


class MalformedCode(Rejected):
    """A text that is no agency code; the message says which part is wrong."""


class MalformedMessage(Rejected):
    """Bytes that are no message of the form they claim to be."""


class LimitExceeded(Rejected):
    """Input larger, deeper or more numerous than a limit allows; reading stopped at the limit."""
