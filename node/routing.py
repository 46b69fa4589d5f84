"""Which adapter hands a message over: the table whose rules speak of it most closely.

A table may name agencies (`codes`), senders, types of document and kinds of message; of what it does not name it takes
any. A message goes to the table that names its agency by the longest code; among equals, to the one that names its
sender by the longest code; then to the one that names its type of document; then to the one that names its kind. Two
tables between which that would not decide are refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from node.store.states import MessageKind
from node.usecases.handover import Addressed
from schemas.codes import AgencyCode
from schemas.directory import prefix_covers
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class Rules:
    """What one table is for; None: for any."""

    codes: tuple[AgencyCode, ...] | None = None
    senders: tuple[AgencyCode, ...] | None = None
    document_types: tuple[str, ...] | None = None
    kinds: tuple[MessageKind, ...] | None = None

    @property
    def splits(self) -> bool:
        """Whether the messages of one agency may go to this table and to another."""
        return (self.senders, self.document_types, self.kinds) != (None, None, None)

    def closeness(self, to: Addressed) -> tuple[int, int, bool, bool] | None:
        """How closely this speaks of a message: the greater, the closer; None if it is not for this table."""
        code, sender = _longest(self.codes, to.code), _longest(self.senders, to.sender)
        if code is None or sender is None:
            return None
        if self.document_types is not None and (
            to.document_type is None or folded_type(to.document_type) not in map(folded_type, self.document_types)
        ):
            return None
        if self.kinds is not None and to.kind not in self.kinds:
            return None
        return code, sender, self.document_types is not None, self.kinds is not None


def folded_type(name: str) -> str:
    """The name of a document's type without what people write differently: case, spaces, Unicode form."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def closest(tables: Mapping[str, Rules], to: Addressed) -> str | None:
    """The table that a message goes to; None if it is for none."""
    found = ((closeness, name) for name, rules in tables.items() if (closeness := rules.closeness(to)) is not None)
    best = max(found, default=None)
    return None if best is None else best[1]


def require_decided(tables: Mapping[str, Rules]) -> None:
    """Pass if no message can be for two tables alike. Raises Rejected: `adapters-overlap`."""
    for (one, rules), (other, others) in combinations(tables.items(), 2):
        shared = [
            _shared(rules.codes, others.codes),
            _shared(rules.senders, others.senders),
            _shared(_folded(rules.document_types), _folded(others.document_types)),
            _shared(rules.kinds, others.kinds),
        ]
        if all(shared):
            whom = "every other agency" if rules.codes is None else shared[0][0]
            raise Rejected(
                "adapters-overlap",
                f"The adapters {one} and {other} both hand over to {whom}.",
                element=f"adapters.{other}.codes",
                mend="Tell them apart by `codes`, `senders`, `document_types` or `kinds`; one may be without any.",
            )


def _folded(types: Iterable[str] | None) -> Sequence[str] | None:
    return None if types is None else tuple(map(folded_type, types))


def _shared(ours: Sequence[object] | None, theirs: Sequence[object] | None) -> list[object]:
    """What both name alike: for such a message neither is closer. Both naming nothing counts as one such thing."""
    if ours is None or theirs is None:
        return ["any"] if ours is None and theirs is None else []
    return [one for one, other in product(ours, theirs) if one == other]


def _longest(prefixes: tuple[AgencyCode, ...] | None, code: AgencyCode | None) -> int | None:
    """The length of the longest of `prefixes` that covers `code`; 0 if any code does, None if none covers it."""
    if prefixes is None:
        return 0
    if code is None:
        return None
    return max((len(prefix.value) for prefix in prefixes if prefix_covers(prefix.value, code)), default=None)
