"""What is to come out where, and what came: each item once, with the bytes that were dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.crash.load import RETURNED, Letter, document_id_of

DOCUMENT = "document"
#: The status that a node sends by itself when it has handed a document over.
ARRIVED = "01"
#: By how much the times of folders may be behind, in nanoseconds: a tick of the kernel's clock.
_TICK = 10_000_000


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is to come out once at the agency `at`: a document, or a status of `sender` about one.

    `what` is `document` or the status; `document_id` that of the document.
    """

    at: str
    what: str
    document_id: str
    sender: str

    def __str__(self) -> str:
        what = DOCUMENT if self.what == DOCUMENT else f"status {self.what}"
        return f"{what} {self.document_id} of {self.sender} at {self.at}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that an agency's software has, durably: its `name` is the key of the hand-over.

    `digests` are those of the attachments, in order; `sealed` is that of the envelope's bytes, where the software sees
    it. `shown` is when it had it (a folder: when it came into in/), in nanoseconds: those of one tick of the kernel's
    clock are the same. `is_refused`: it answered the node that it refuses the document.
    """

    item: Item
    name: str
    digests: tuple[str, ...] = ()
    sealed: str = ""
    shown: int = 0
    is_refused: bool = False

    @property
    def message_id(self) -> str:
        return self.name.partition("-")[0]


@dataclass(slots=True)
class Register:
    """All that was dropped and all that came. `faults` are sentences, each about something that must not be.

    `overtaken` are sentences about statuses that came out before one that the same agency had given earlier; `returned`
    the deliveries, by message id and recipient, that the recipient's software or its node's guards refused.
    """

    letters: dict[str, Letter] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    overtaken: list[str] = field(default_factory=list)
    came: Counter[Item] = field(default_factory=Counter)
    names: defaultdict[Item, set[str]] = field(default_factory=lambda: defaultdict(set))
    sent: dict[str, str] = field(default_factory=dict)
    sealed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    lost: set[Item] = field(default_factory=set)
    returned: set[tuple[str, str]] = field(default_factory=set)
    _digests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _early: defaultdict[Item, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    _awaited: set[Item] = field(default_factory=set)
    _expected: set[Item] = field(default_factory=set)

    def dropped(self, letter: Letter, digests: tuple[str, ...]) -> None:
        """From now on `letter`, what its recipients answer and the statuses of their nodes are expected."""
        self.letters[letter.document_id] = letter
        self._digests[letter.document_id] = digests
        for item in expected_of(letter):
            self._expected.add(item)
            self._awaited.add(item)

    def in_order(self, arrivals: Iterable[Arrival]) -> list[Arrival]:
        """`arrivals` as they were shown; of those shown within one tick of the clock, what speaks of others last."""
        return sorted(arrivals, key=lambda arrival: (arrival.shown, self._rank(arrival.item)))

    def _rank(self, item: Item) -> int:
        letter = self.letters.get(item.document_id)
        if letter is None or item.what == ARRIVED:
            return 0
        if item.what == DOCUMENT:
            return int(letter.amends is not None)
        return 2 + (letter.answers.index(item.what) if item.what in letter.answers else 0)

    def arrived(self, arrival: Arrival) -> bool:
        """Enter what an agency took away; True if it is the first of its kind."""
        item = arrival.item
        self.came[item] += 1
        self.names[item].add(arrival.name)
        if arrival.sealed:
            self.sealed[arrival.message_id].add(arrival.sealed)
        if arrival.is_refused:
            self.returned.add((arrival.message_id, item.at))
        self._awaited.discard(item)
        if item not in self._expected:
            self.faults.append(f"Nobody sent {item} ({arrival.name}).")
        elif self.came[item] > 1:
            again = "under the same key" if len(self.names[item]) == 1 else "under another key"
            self.faults.append(f"{item} came out twice, {again}: {arrival.name}.")
        elif item.what == DOCUMENT:
            self._check(arrival)
            self._check_early(arrival)
        else:
            self._check_order(arrival)
        return self.came[item] == 1

    def refused(self, name: str, document_id: str | None, reason: str) -> None:
        """An item that the node refused, in its own words."""
        letter = self.letters.get(document_id or "")
        if letter is not None and letter.is_refused:
            self._awaited.discard(_refusal(letter))
            self.came[_refusal(letter)] += 1
        else:
            self.faults.append(f"{name} was refused: {reason}")

    @property
    def awaited(self) -> frozenset[Item]:
        return frozenset(self._awaited)

    @property
    def expected(self) -> frozenset[Item]:
        return frozenset(self._expected)

    @property
    def on_the_way(self) -> int:
        """How many documents are to come out somewhere and have not yet."""
        return sum(1 for item in self._awaited if item.what == DOCUMENT)

    @property
    def steps(self) -> int:
        """Grows with everything that comes out."""
        return self.came.total() + len(self.sent)

    @property
    def twice(self) -> list[Item]:
        return [item for item, times in self.came.items() if times > 1]

    def message_ids(self, item: Item) -> set[str]:
        """The messages that `item` came as, or was sent as."""
        found = {name.partition("-")[0] for name in self.names.get(item, ())}
        letter = self.letters.get(item.document_id)
        if letter is not None and letter.name in self.sent:
            found.add(self.sent[letter.name])
        return found

    def _check_order(self, arrival: Arrival) -> None:
        """What is answered was there before; an agency's statuses about it may overtake each other, which is told."""
        status = arrival.item
        letter = self.letters[status.document_id]
        if status.what == ARRIVED or letter.is_marked:
            return  # the node's own, sent by itself before anybody has the document
        document = Item(status.sender, DOCUMENT, status.document_id, letter.sender)
        if not self.came[document]:
            # It may be there already: its agency's software says so after its look, when its refusal is on its way.
            self._early[document].append(arrival)
        for before in letter.answers[: letter.answers.index(status.what)]:
            if not self.came[Item(status.at, before, status.document_id, status.sender)]:
                self.overtaken.append(f"{status} came out before status {before}.")

    def _check_early(self, document: Arrival) -> None:
        """Of what was seen before the document, nothing came out before it."""
        for status in self._early.pop(document.item, ()):
            if document.shown > status.shown + _TICK:
                self.faults.append(f"{status.item} came out before the document.")

    def _check(self, arrival: Arrival) -> None:
        item = arrival.item
        if arrival.digests != self._digests[item.document_id]:
            self.lost.add(item)
            self.faults.append(f"The attachments of {item} are not those that were dropped ({arrival.name}).")
        letter = self.letters[item.document_id]
        if letter.amends is not None:
            before = Item(item.at, DOCUMENT, document_id_of(letter.sender, letter.amends), letter.sender)
            if not self.came[before]:
                self.faults.append(f"{item} came out before the document of which it is a {letter.business}.")


def expected_of(letter: Letter) -> Iterator[Item]:
    """What must come out of `letter`: itself, and the statuses about it."""
    if letter.is_refused:
        yield _refusal(letter)
        return
    for recipient in letter.recipients:
        if letter.is_marked:
            # Its node's guards refuse it: the software never sees it.
            yield from (Item(letter.sender, status, letter.document_id, recipient) for status in (ARRIVED, *RETURNED))
            continue
        yield Item(recipient, DOCUMENT, letter.document_id, letter.sender)
        for status in (ARRIVED, *letter.answers):
            yield Item(letter.sender, status, letter.document_id, recipient)


def _refusal(letter: Letter) -> Item:
    return Item(letter.sender, "refusal", letter.document_id, letter.sender)
