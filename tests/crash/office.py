"""An agency's software: drops documents into out/, takes away what comes in in/, answers, and keeps a journal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from runtime.clock import utc_now
from schemas.classic_writer import write_classic
from schemas.codes import AgencyCode
from schemas.message import Organ, ResponseFor, StatusCode, StatusMessage
from schemas.namespaces import QCVN
from schemas.times import TimestampText
from tests.crash.journal import Journal
from tests.crash.load import Letter, attachments
from tests.crash.register import DOCUMENT, Arrival, Item

_METADATA = """\
subject = "Văn bản số {number}"
code = "{number}/CRASH"
document_id = "{document_id}"
place = "Hà Nội"
date = 2026-11-22
to = {recipients}
priority = {priority}
signer = "Nguyễn Thị Lan"
"""
_RECALL = """
[business]
type = "recall"
reason = "Ban hành nhầm"

[[response_for]]
organ_id = "{sender}"
document_id = "{sender},2026/11/22,{recalls}/CRASH"
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """An item that the node took: its name in out/, and the message that it became."""

    name: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An item that the node refused: its name, its letter's DocumentId (None: an answer), the text beside it."""

    name: str
    document_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A status that is to be sent about a document."""

    document_id: str
    sender: str
    status: str

    @property
    def name(self) -> str:
        number = self.document_id.rpartition(",")[2].partition("/")[0]
        return f"answer-{number}-{self.status}.edxml"


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
            (making / "meta.toml").write_text(_metadata(letter), encoding="utf-8")
            making.rename(self._out / letter.name)
        except OSError:
            shutil.rmtree(making, ignore_errors=True)
            raise
        self._journal.write(dropped=letter.name, document_id=letter.document_id, digests=digests)
        self._journal.commit()
        return tuple(digests)

    def look(self) -> list[Arrival | Sent | Failed]:
        """Take away all that is there to be taken: out of in/, sent/ and failed/."""
        events: list[Arrival | Sent | Failed] = [*self._arrivals(), *self._sent_items(), *self._failed_items()]
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

    def answer(self, letter: Letter) -> None:
        """Send the statuses that `letter` asks for, each when the node has taken the one before."""
        if letter.answers:
            self._answers.append(deque(Answer(letter.document_id, letter.sender, one) for one in letter.answers))

    def _arrivals(self) -> Iterator[Arrival]:
        for folder, shown in self._take_away():
            arrival = _arrival(folder, self.code, shown)
            self._journal.write(took=arrival.name, what=arrival.item.what, document_id=arrival.item.document_id)
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
            number = item.name.removeprefix("letter-")
            document_id = f"{self.code},2026/11/22,{number}/CRASH" if item.name.startswith("letter-") else None
            self._journal.write(failed=item.name, reason=reason)
            _remove(item)
            note.unlink()
            yield Failed(item.name, document_id, reason)

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
        message = StatusMessage(
            sender=Organ(organ_id=AgencyCode.parse(self.code)),
            response_for=ResponseFor(
                organ_id=AgencyCode.parse(answer.sender),
                code=answer.document_id.rpartition(",")[2],
                document_id=answer.document_id,
            ),
            status_code=StatusCode(answer.status),
            timestamp=TimestampText.of(utc_now()),
        )
        making = self._out / f".{answer.name}"
        try:
            with making.open("wb") as file:
                write_classic(message, (), file.write)
            making.rename(self._out / answer.name)
        except OSError:
            making.unlink(missing_ok=True)
            raise


def _metadata(letter: Letter) -> str:
    text = _METADATA.format(
        number=letter.number,
        document_id=letter.document_id,
        recipients=json.dumps(letter.recipients),
        priority=letter.priority,
    )
    if letter.recalls is None:
        return text
    return text + _RECALL.format(sender=letter.sender, recalls=letter.recalls)


def _arrival(folder: Path, code: str, shown: int) -> Arrival:
    sealed = etree.parse(folder / "sealed.xml")
    status = _text(sealed, "StatusCode")
    held = folder / "attachments"
    digests = (
        tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(held.iterdir())) if held.is_dir() else ()
    )
    document_id = _text(sealed, "ResponseFor" if status else "MessageHeader", "DocumentId")
    item = Item(code, status or DOCUMENT, document_id or "", _text(sealed, "From", "OrganId") or "")
    envelope = hashlib.sha256((folder / "sealed.xml").read_bytes()).hexdigest()
    return Arrival(item, folder.name, digests, envelope, shown)


def _text(sealed: etree._ElementTree, *path: str) -> str | None:
    return sealed.findtext(".//" + "/".join(f"{{{QCVN}}}{name}" for name in path))


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
