"""Agencies found as people look for them: by the beginning of a code, of today or older, or by words of the name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import ColumnElement, String, and_, or_, select, type_coerce

from node.store.directory import holds
from node.store.directory_tables import directory_agencies, directory_older_codes
from node.store.metadata import Transaction
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus
from schemas.vietnamese import folded

#: Comes after every character of a code.
_AFTER: Final = "~"


def search(transaction: Transaction, text: str, *, limit: int) -> list[AgencyEntry]:
    """Up to `limit` agencies by code: those whose codes begin with `text`, then those whose names hold all its words.

    Letters with and without marks are the same. Nothing is found of retired agencies.
    """
    beginning = text.strip().upper()
    found = _entries(transaction, _begins(type_coerce(directory_agencies.c.code, String), beginning), limit)
    if len(found) < limit and beginning:
        older = select(directory_older_codes.c.code).where(
            _begins(type_coerce(directory_older_codes.c.older_code, String), beginning),
            holds(directory_older_codes, None),
        )
        found |= _entries(transaction, directory_agencies.c.code.in_(older.limit(limit)), limit)
    words = folded(text).split()
    if len(found) < limit and words:
        # All names are read: 120,000 in some 30 ms, and no index tells of words in the middle.
        has_all = and_(*(directory_agencies.c.folded.contains(word, autoescape=True) for word in words))
        found |= _entries(transaction, has_all, limit)
    return list(found.values())[:limit]


def page(transaction: Transaction, text: str, *, under: AgencyCode | None, after: str, limit: int) -> list[AgencyEntry]:
    """Up to `limit` agencies whose codes come after `after`, by code, with their older codes, and without retired ones.

    Only those at or below `under`; only those whose codes, of today or older, begin with `text` or whose names hold all
    its words.
    """
    code = type_coerce(directory_agencies.c.code, String)
    chosen: list[ColumnElement[bool]] = [code > after]
    if under is not None:
        # The slash comes right after the dot.
        below = and_(code >= f"{under.value}.", code < f"{under.value}/")
        chosen.append(or_(code == under.value, below))
    beginning, words = text.strip().upper(), folded(text).split()
    if words:
        older = select(directory_older_codes.c.code).where(
            _begins(type_coerce(directory_older_codes.c.older_code, String), beginning),
            holds(directory_older_codes, None),
        )
        has_all = and_(*(directory_agencies.c.folded.contains(word, autoescape=True) for word in words))
        chosen.append(or_(_begins(code, beginning), directory_agencies.c.code.in_(older), has_all))
    found = _entries(transaction, and_(*chosen), limit)
    formerly: defaultdict[AgencyCode, list[AgencyCode]] = defaultdict(list)
    for row in transaction.execute(
        select(directory_older_codes.c.code, directory_older_codes.c.older_code)
        .where(directory_older_codes.c.code.in_(found), holds(directory_older_codes, None))
        .order_by(directory_older_codes.c.older_code)
    ):
        formerly[row.code].append(row.older_code)
    return [replace(entry, older_codes=tuple(formerly[entry.code])) for entry in found.values()]


def codes_beginning(transaction: Transaction, text: str, *, limit: int) -> Sequence[tuple[AgencyCode, str]]:
    """Up to `limit` codes of today that begin with `text`, with the agencies' names."""
    found = _entries(transaction, _begins(type_coerce(directory_agencies.c.code, String), text), limit)
    return [(entry.code, entry.name) for entry in found.values()]


def _begins(code: ColumnElement[str], beginning: str) -> ColumnElement[bool]:
    """A range of the index; `LIKE` is none in either database."""
    return and_(code >= beginning, code < beginning + _AFTER)


def _entries(transaction: Transaction, which: ColumnElement[bool], limit: int) -> dict[AgencyCode, AgencyEntry]:
    columns = directory_agencies.c
    rows = transaction.execute(
        select(columns.code, columns.name, columns.connection, columns.status)
        .where(which, holds(directory_agencies, None), columns.status != EntryStatus.RETIRED)
        .order_by(columns.code)
        .limit(limit)
    )
    return {
        row.code: AgencyEntry(code=row.code, name=row.name, connection=row.connection, status=EntryStatus(row.status))
        for row in rows
    }
