"""What the stand-in node keeps: a file, so that a process killed in the middle leaves it as a node's database would."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from adapters.sdk import Accepted, Never, Refused, Submission, Submitted
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

_TABLES = """
CREATE TABLE IF NOT EXISTS submissions (
    sender TEXT, key TEXT, fingerprint TEXT NOT NULL, message_id TEXT NOT NULL, PRIMARY KEY (sender, key));
CREATE TABLE IF NOT EXISTS handovers (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL, reason TEXT,
    lock TEXT, locked_until REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, reason TEXT);
CREATE TRIGGER IF NOT EXISTS offered AFTER INSERT ON handovers BEGIN
    INSERT INTO events (key, state, reason) VALUES (new.key, new.state, new.reason); END;
CREATE TRIGGER IF NOT EXISTS ended AFTER UPDATE OF state ON handovers WHEN new.state <> old.state BEGIN
    INSERT INTO events (key, state, reason) VALUES (new.key, new.state, new.reason); END;
"""


@dataclass(frozen=True, slots=True)
class Handover:
    """A hand-over as the node has it: `state` is awaiting, or the outcome that ended it, in lower case."""

    number: int
    key: str
    state: str
    reason: str | None
    lock: str | None
    locked_until: float


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a hand-over at some moment; `number` counts all such steps."""

    number: int
    key: str
    state: str
    reason: str | None


class Record:
    """The record in the file `path`. A statement commits by itself, and the system keeps it when the process dies."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=60)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        self._database.close()

    def submit(self, submission: Submission, message_id: Sha256Hex) -> Submitted:
        """Keep a submission; raises `key-conflict`."""
        sender = submission.message.sender.organ_id.value
        row = (sender, submission.key, submission.fingerprint, message_id)
        added = self._database.execute("INSERT OR IGNORE INTO submissions VALUES (?, ?, ?, ?)", row).rowcount
        kept = self._database.execute(
            "SELECT fingerprint, message_id FROM submissions WHERE sender = ? AND key = ?", row[:2]
        ).fetchone()
        if kept[0] != submission.fingerprint:
            raise Rejected(
                "key-conflict",
                f"The key {submission.key!r} was used for another message.",
                mend="Give each message a key of its own.",
            )
        return Submitted(kept[1], repeated=not added)

    def submissions(self) -> list[Sha256Hex]:
        """The ids of the messages taken, in their order."""
        return [row[0] for row in self._database.execute("SELECT message_id FROM submissions ORDER BY rowid")]

    def offer(self, key: str) -> None:
        """Have the hand-over `key` await the software, unless it has ended."""
        self._database.execute("INSERT OR IGNORE INTO handovers (key, state) VALUES (?, 'awaiting')", (key,))

    def end(self, key: str, state: str, reason: str | None) -> None:
        self._database.execute(
            "INSERT INTO handovers (key, state, reason) VALUES (?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET state = excluded.state, reason = excluded.reason, lock = NULL,"
            " locked_until = 0",
            (key, state, reason),
        )

    def lock(self, key: str, token: str | None, until: float) -> None:
        self._database.execute("UPDATE handovers SET lock = ?, locked_until = ? WHERE key = ?", (token, until, key))

    def handover(self, key: str) -> Handover | None:
        row = self._database.execute("SELECT * FROM handovers WHERE key = ?", (key,)).fetchone()
        return Handover(*row) if row else None

    def settlement(self, key: str) -> Accepted | Refused | Never | None:
        """What the software settled the hand-over `key` with; None while it awaits that."""
        kept = self.handover(key)
        match kept and kept.state:
            case "accepted":
                return Accepted()
            case "refused":
                return Refused(kept.reason or "") if kept else None
            case "never":
                return Never(kept.reason or "") if kept else None
        return None

    def events(self, after: int, limit: int) -> list[Step]:
        """The steps of all hand-overs behind the number `after`, in their order."""
        rows = self._database.execute("SELECT * FROM events WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
        return [Step(*row) for row in rows]

    def last_event(self) -> int:
        number: int = self._database.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()[0]
        return number

    def open_handovers(self) -> list[Handover]:
        """Those that await the software, and those that it could not take, in the order in which they came."""
        rows = self._database.execute("SELECT * FROM handovers WHERE state IN ('awaiting', 'never') ORDER BY number")
        return [Handover(*row) for row in rows]
