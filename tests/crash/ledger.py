"""What an agency's software knows that it has sent and had: durable before it counts, read again after a death."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.crash.journal import Journal
from tests.crash.load import Letter
from tests.crash.register import Arrival, Item


class Ledger:
    """Over `journal`, whose lines stand in the file `path`.

    `sent` are message ids by the name of what was sent, `taken` whether it was refused by the key of what was had,
    `settled` the keys of which the node knows that they were had.
    """

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._journal = journal
        self.forget()

    def forget(self) -> None:
        """Know what the file says and nothing else, as software does that was started again."""
        self.sent: dict[str, str] = {}
        self.taken: dict[str, bool] = {}
        self.settled: set[str] = set()
        for line in lines_of(self._path):
            match line:
                case {"sent": str(name), "message_id": str(message_id)}:
                    self.sent[name] = message_id
                case {"took": str(key), "refused": bool(refused)}:
                    self.taken[key] = refused
                case {"settled": str(key)}:
                    self.settled.add(key)

    def drop(self, letter: Letter, digests: Sequence[str]) -> None:
        """Enter a letter that is to be sent from now on, until the node has it."""
        self._write(dropped=letter.name, document_id=letter.document_id, digests=list(digests))

    def send(self, name: str, message_id: str) -> None:
        """Enter that the node has `name`."""
        self._write(sent=name, message_id=message_id)
        self.sent[name] = message_id

    def fail(self, name: str, reason: str) -> None:
        self._write(failed=name, reason=reason)

    def take(self, arrival: Arrival) -> None:
        """Keep what came, under its key: from now on the software has it."""
        self._write(**line_of(arrival))
        self.taken[arrival.name] = arrival.is_refused

    def settle(self, key: str) -> None:
        """Enter that the node knows."""
        self._write(settled=key)
        self.settled.add(key)

    def _write(self, **line: object) -> None:
        self._journal.write(**line)
        self._journal.commit()


def line_of(arrival: Arrival) -> dict[str, object]:
    """What a journal says of something that was taken."""
    item = arrival.item
    return {
        "took": arrival.name,
        "what": item.what,
        "document_id": item.document_id,
        "sender": item.sender,
        "refused": arrival.is_refused,
    }


def lines_of(path: Path) -> Iterator[Mapping[str, object]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def contradictions(journals: Mapping[str, Sequence[Path]], came: Mapping[Item, int]) -> Iterator[str]:
    """A sentence for each item that the agencies' `journals`, by code, say came more or less often than was counted,
    for each key that was taken twice, and for whatever was sent as two messages."""
    taken: Counter[Item] = Counter()
    for code, paths in journals.items():
        keys: Counter[str] = Counter()
        sent: defaultdict[str, set[str]] = defaultdict(set)
        for line in (line for path in paths for line in lines_of(path)):
            match line:
                case {"took": str(key), "what": str(what), "document_id": str(document_id), "sender": str(sender)}:
                    keys[key] += 1
                    taken[Item(code, what, document_id, sender)] += 1
                case {"sent": str(name), "message_id": str(message_id)}:
                    sent[name].add(message_id)
        yield from (f"{code} took {key} {times} times." for key, times in keys.items() if times > 1)
        yield from (f"{name} of {code} was sent as {len(ids)} messages." for name, ids in sent.items() if len(ids) > 1)
    for item in taken.keys() | {item for item in came if item.what != "refusal"}:
        if taken[item] != came.get(item, 0):
            yield f"{item}: the software's own record has it {taken[item]} times, and {came.get(item, 0)} were seen."
