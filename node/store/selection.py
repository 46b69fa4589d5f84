"""Whom selectors mean, by the copy of the directory as it stands or as of any version; the hub finds the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, String, and_, bindparam, insert, or_, select, type_coerce

from node.store.directory import agency, holds
from node.store.directory_tables import (
    directory_agencies,
    directory_connections,
    directory_groups,
    directory_older_codes,
)
from node.store.message_tables import outbox, outbox_selectors
from node.store.metadata import Transaction
from node.store.states import OutboxState
from runtime.prepared import Prepared
from schemas.codes import AgencyCode
from schemas.directory import AgencyEntry, EntryStatus, GroupEntry, prefix_covers
from schemas.envelope import Selector, SelectorKind, Sha256Hex
from schemas.recipients import parse_recipient

#: Codes in one statement: well below what a statement may bind.
_TOGETHER: Final = 500

#: The character after the dot: codes below `H23` lie between `H23.` and `H23/`, and nothing else does.
_AFTER_DOT: Final = "/"


# Asked for every message of ours and for each of its receipts: built once.
_SELECTORS = Prepared(
    select(outbox_selectors.c.kind, outbox_selectors.c.value)
    .where(outbox_selectors.c.message_id == bindparam("of_message"))
    .order_by(outbox_selectors.c.position)
)
_UNDECIDED = (
    select(outbox_selectors.c.message_id)
    .join(outbox, outbox.c.message_id == outbox_selectors.c.message_id)
    .where(
        outbox_selectors.c.message_id.in_(bindparam("of_messages", expanding=True)),
        outbox.c.state != OutboxState.ACCEPTED,
    )
    .distinct()
)


def add_selectors(transaction: Transaction, message_id: Sha256Hex, selectors: Sequence[Selector]) -> None:
    """Note by which rules a message of ours names recipients."""
    if selectors:
        transaction.execute(
            insert(outbox_selectors),
            [
                {"message_id": message_id, "position": position, "kind": each.kind, "value": each.value}
                for position, each in enumerate(selectors)
            ],
        )


def selectors_of(transaction: Transaction, message_id: Sha256Hex) -> tuple[Selector, ...]:
    """The selectors of a message of ours, in the order written; none for most."""
    rows = _SELECTORS.all(transaction, {"of_message": message_id})
    return tuple(Selector(SelectorKind(row.kind), row.value) for row in rows)


def undecided(transaction: Transaction, message_ids: Collection[Sha256Hex]) -> set[Sha256Hex]:
    """Those messages of ours that have selectors, and no acceptance on record that says whom they stand for."""
    return set(transaction.scalars(_UNDECIDED, {"of_messages": list(message_ids)}))


def group(transaction: Transaction, name: str, version: int | None = None) -> GroupEntry | None:
    """The group `name` as of `version` (None: the newest); None if there is none, or it was withdrawn."""
    columns = directory_groups.c
    row = transaction.execute(
        select(columns.title, columns.members).where(columns.name == name, holds(directory_groups, version))
    ).one_or_none()
    return GroupEntry(group=name, title=row.title, members=tuple(row.members)) if row and row.members else None


def groups(transaction: Transaction) -> list[GroupEntry]:
    """Every group that one can write to now, by name."""
    columns = directory_groups.c
    rows = transaction.execute(
        select(columns.name, columns.title, columns.members).where(holds(directory_groups, None)).order_by(columns.name)
    )
    return [GroupEntry(group=row.name, title=row.title, members=tuple(row.members)) for row in rows if row.members]


def below(transaction: Transaction, prefix: str, version: int | None = None) -> Mapping[AgencyCode, str]:
    """The active agencies at or below `prefix`, which may be an older code of one, by code with their names."""
    named = agency(transaction, AgencyCode(prefix), version)
    root = named.code.value if named else prefix
    code = type_coerce(directory_agencies.c.code, String)
    return dict(_active(transaction, or_(code == root, and_(code > f"{root}.", code < root + _AFTER_DOT)), version))


def members(transaction: Transaction, of: GroupEntry, version: int | None = None) -> Mapping[AgencyCode, str]:
    """The active agencies of a group, by code with their names."""
    found: dict[AgencyCode, str] = {}
    codes: list[AgencyCode] = []
    for text in of.members:
        member = parse_recipient(text)
        if isinstance(member, AgencyCode):
            codes.append(member)
        else:
            found |= below(transaction, member.value, version)
    for start in range(0, len(codes), _TOGETHER):
        found |= _named(transaction, codes[start : start + _TOGETHER], version)
    return found


def selected(transaction: Transaction, selector: Selector) -> list[AgencyEntry]:
    """Whom a selector means by the newest copy; nobody, if it names a group that there is not."""
    if selector.kind is SelectorKind.PREFIX:
        found = below(transaction, selector.value)
    else:
        of = group(transaction, selector.value)
        found = members(transaction, of) if of else {}
    return [AgencyEntry(code=code, name=name, connection="") for code, name in found.items()]


def is_member(transaction: Transaction, of: GroupEntry, entry: AgencyEntry, version: int | None = None) -> bool:
    """Whether an agency belongs to a group, by any of its codes or below one of the group's."""
    own = {entry.code.value, *(code.value for code in entry.older_codes)}
    for text in of.members:
        member = parse_recipient(text)
        if isinstance(member, AgencyCode):
            if member.value in own:
                return True
        else:
            named = agency(transaction, AgencyCode(member.value), version)
            if prefix_covers(named.code.value if named else member.value, entry.code):
                return True
    return False


def _named(transaction: Transaction, codes: Collection[AgencyCode], version: int | None) -> Mapping[AgencyCode, str]:
    """The active agencies that `codes`, of today or older, name. A code of today comes first."""
    today = set(
        transaction.scalars(
            select(directory_agencies.c.code).where(
                directory_agencies.c.code.in_(codes), holds(directory_agencies, version)
            )
        )
    )
    older = [code for code in codes if code not in today]
    if older:
        today |= set(
            transaction.scalars(
                select(directory_older_codes.c.code).where(
                    directory_older_codes.c.older_code.in_(older), holds(directory_older_codes, version)
                )
            )
        )
    return dict(_active(transaction, directory_agencies.c.code.in_(today), version))


def _active(
    transaction: Transaction, which: ColumnElement[bool], version: int | None
) -> Iterator[tuple[AgencyCode, str]]:
    """An agency is no more active than the connection that serves it."""
    rows = transaction.execute(
        select(directory_agencies.c.code, directory_agencies.c.name)
        .join(directory_connections, directory_connections.c.connection == directory_agencies.c.connection)
        .where(
            which,
            holds(directory_agencies, version),
            holds(directory_connections, version),
            directory_agencies.c.status == EntryStatus.ACTIVE,
            directory_connections.c.status == EntryStatus.ACTIVE,
        )
        .order_by(directory_agencies.c.code)
    )
    return ((row.code, row.name) for row in rows)
