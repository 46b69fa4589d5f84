"""An agency's software that works by folders: drops into out/, takes away what comes in in/, keeps a journal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from tests.crash.events import Event, Failed, Sent
from tests.crash.journal import Journal
from tests.crash.ledger import line_of
from tests.crash.letters_read import item_in
from tests.crash.load import Letter, attachments, document_id_of
from tests.crash.papers import Answer, classic_status, metadata_of
from tests.crash.register import Arrival


class Office:
    """The software of the agency `code` at the folders in `drop`. Its methods block: they are for threads, one by one.

    What is dropped is complete before the node can see it. On a full disk nothing is dropped, and it is tried again.
    """

    def __init__(self, code: str, drop: Path, journal: Journal, *, seed: int) -> None:
        self.code = code
        self._out, self._in, self._sent, self._failed = (drop / name for name in ("out", "in", "sent", "failed"))
        self._taken = drop / "taken"
        self._journal = journal
        self._seed = seed
        self._answers: deque[deque[Answer]] = deque()
        self._dropped_answers: dict[str, deque[Answer]] = {}

    def drop(self, letter: Letter) -> tuple[str, ...]:
        """Put `letter` into out/ by one rename; gives the digests of its attachments. Raises OSError."""
        making = self._out / f".{letter.name}"
        digests = []
        try:
            making.mkdir(parents=True)
            for name, content in attachments(letter, self._seed):
                (making / name).write_bytes(content)
                digests.append(hashlib.sha256(content).hexdigest())
            (making / "meta.json").write_text(json.dumps(metadata_of(letter)), encoding="utf-8")
            making.rename(self._out / letter.name)
        except OSError:
            shutil.rmtree(making, ignore_errors=True)
            raise
        self._journal.write(dropped=letter.name, document_id=letter.document_id, digests=digests)
        self._journal.commit()
        return tuple(digests)

    def look(self) -> list[Event]:
        """Take away all that is there to be taken: out of in/, sent/ and failed/."""
        events: list[Event] = [*self._arrivals(), *self._sent_items(), *self._failed_items()]
        if events:
            self._journal.commit()
        for event in events:
            if isinstance(event, Sent) and event.name in self._dropped_answers:
                rest = self._dropped_answers.pop(event.name)
                if rest:
                    self._answers.append(rest)
        self._drop_answers()
        return events

    def left(self) -> list[str]:
        """What stands in the folders, under whatever name. After the last look nothing does."""
        items = (item for folder in (self._out, self._in, self._failed, self._taken) for item in _all_entries(folder))
        put_away = (item for day in _all_entries(self._sent) for item in _all_entries(day))
        return [f"{item.relative_to(self._out.parent)} of {self.code}" for item in (*items, *put_away)]

    def answer(self, letter: Letter, message_id: str) -> None:
        """Send the statuses that `letter`, which came as `message_id`, asks for, each when the node has taken the one
        before."""
        if letter.answers:
            self._answers.append(
                deque(Answer(self.code, letter.document_id, letter.sender, one, message_id) for one in letter.answers)
            )

    def _arrivals(self) -> Iterator[Arrival]:
        for folder, shown in self._take_away():
            arrival = _arrival(folder, self.code, shown)
            self._journal.write(**line_of(arrival))
            shutil.rmtree(folder)
            yield arrival

    def _take_away(self) -> Iterator[tuple[Path, int]]:
        """Move what stands in in/, in the order in which it was shown there; gives it with that time.

        What cannot be moved, on a full disk, waits for the next look, and what was shown later with it.
        """
        with contextlib.suppress(OSError):
            self._taken.mkdir(exist_ok=True)
            # Renamed last when it was shown: that is the time of its last change. This process has the right clock.
            shown = {folder: folder.stat().st_ctime_ns for folder in _entries(self._in)}
            for folder, at in sorted(shown.items(), key=lambda entry: entry[1]):
                yield folder.rename(self._taken / folder.name), at

    def _sent_items(self) -> Iterator[Sent]:
        for day in _entries(self._sent):
            for note in _entries(day):
                if not note.name.endswith(".receipt.json"):
                    continue
                item = note.with_name(note.name.removesuffix(".receipt.json"))
                if not item.exists():
                    continue  # the note is written first
                message_id = json.loads(note.read_text(encoding="utf-8"))["message_id"]
                _remove(item)
                note.unlink()
                self._journal.write(sent=item.name, message_id=message_id)
                yield Sent(item.name.partition("~")[0], message_id)

    def _failed_items(self) -> Iterator[Failed]:
        for note in _entries(self._failed):
            item = note.with_name(note.name.removesuffix(".error.txt"))
            if not note.name.endswith(".error.txt") or not item.exists():
                continue
            reason = note.read_text(encoding="utf-8")
            _, is_letter, number = item.name.partition("letter-")
            document_id = document_id_of(self.code, int(number)) if is_letter else None
            self._journal.write(failed=item.name, reason=reason)
            _remove(item)
            note.unlink()
            yield Failed(item.name, document_id, " | ".join(reason.split("\n")[2:6]))

    def _drop_answers(self) -> None:
        for _ in range(len(self._answers)):
            waiting = self._answers.popleft()
            answer = waiting[0]
            try:
                self._drop_answer(answer)
            except OSError:
                self._answers.append(waiting)
                continue
            waiting.popleft()
            self._dropped_answers[answer.name] = waiting

    def _drop_answer(self, answer: Answer) -> None:
        making = self._out / f".{answer.name}"
        try:
            making.write_bytes(classic_status(answer))
            making.rename(self._out / answer.name)
        except OSError:
            making.unlink(missing_ok=True)
            raise


def _arrival(folder: Path, code: str, shown: int) -> Arrival:
    sealed = etree.parse(folder / "sealed.xml")
    held = folder / "attachments"
    digests = (
        tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(held.iterdir())) if held.is_dir() else ()
    )
    envelope = hashlib.sha256((folder / "sealed.xml").read_bytes()).hexdigest()
    return Arrival(item_in(sealed, code), folder.name, digests, envelope, shown)


def _entries(folder: Path) -> list[Path]:
    return [path for path in _all_entries(folder) if not path.name.startswith(".")]


def _all_entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _remove(item: Path) -> None:
    if item.is_dir():
        shutil.rmtree(item)
    else:
        item.unlink()
