"""What somebody does to a database by hand, past every program and every constraint."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def by_hand(database: Path, *statements: str) -> int:
    """Run the statements without foreign keys; gives how many rows they changed, which must be some."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys=OFF")
        changed = sum(connection.execute(statement).rowcount for statement in statements)
    finally:
        connection.close()
    assert changed > 0, "nothing was there to be changed"
    return changed


def asked(database: Path, question: str) -> object:
    """The one value that `question` gives."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(question).fetchone()[0]
    finally:
        connection.close()


#: SQL that changes one byte in the middle of a BLOB column.
def flipped(column: str) -> str:
    middle = f"length({column}) / 2"
    other = f"CASE WHEN substr({column}, {middle}, 1) = x'41' THEN x'42' ELSE x'41' END"
    return f"CAST(substr({column}, 1, {middle} - 1) || {other} || substr({column}, {middle} + 1) AS BLOB)"
