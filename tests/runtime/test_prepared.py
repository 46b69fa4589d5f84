"""Prepared statements mean on SQLite's driver what SQLAlchemy means by them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from runtime.columns import Instant, Upsert
from runtime.database_sqlite import others_kept_out
from runtime.prepared import Prepared

_NOW = datetime(2026, 11, 22, 8, 30, 0, 123456, tzinfo=UTC)
_TABLE = Table(
    "things",
    MetaData(),
    Column("thing", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("content", LargeBinary),
    Column("at", Instant),
)
_ADD = Prepared(insert(_TABLE))
_ADD_NUMBERED = Prepared(insert(_TABLE).returning(_TABLE.c.thing))
_ALL = Prepared(select(_TABLE))
_NAMED = Prepared(select(_TABLE).where(_TABLE.c.name == bindparam("of_name")))
_AMONG = Prepared(
    select(_TABLE.c.name)
    .where(_TABLE.c.name.in_(["một", "hai"]), _TABLE.c.at >= bindparam("since"))
    .order_by(_TABLE.c.name)
)
_MOVE = Prepared(update(_TABLE).where(_TABLE.c.name == bindparam("of_name")).values(at=bindparam("moved_to")))


@pytest.fixture
def transaction(tmp_path: Path) -> Iterator[Connection]:
    with others_kept_out(tmp_path / "prepared.db") as connection:
        _TABLE.metadata.create_all(connection)
        yield connection


def _thing(name: str, at: datetime = _NOW) -> dict[str, object]:
    return {"name": name, "content": name.encode(), "at": at}


def test_a_row_is_what_sqlalchemy_reads(transaction: Connection) -> None:
    """Values and results pass through the types of their columns, in whatever order the values are named."""
    _ADD.run(transaction, _thing("một"))
    _ADD.run(transaction, dict(reversed(_thing("hai").items())))
    for name in ("một", "hai"):
        (expected,) = transaction.execute(select(_TABLE).where(_TABLE.c.name == name))
        row = _NAMED.first(transaction, {"of_name": name})
        assert tuple(row) == tuple(expected)
        assert (row.name, row.content, row.at) == (name, name.encode(), _NOW)
    assert _NAMED.first(transaction, {"of_name": "ba"}) is None
    assert _NAMED.scalar(transaction, {"of_name": "ba"}) is None


def test_constants_stand_in_the_statement(transaction: Connection) -> None:
    """A list of values that the statement brings along, beside a value that it is given."""
    for name, hours in (("một", 0), ("hai", 1), ("ba", 1)):
        _ADD.run(transaction, _thing(name, _NOW + timedelta(hours=hours)))
    assert _AMONG.scalars(transaction, {"since": _NOW}) == ["hai", "một"]
    assert _AMONG.scalars(transaction, {"since": _NOW + timedelta(minutes=1)}) == ["hai"]


def test_a_change_tells_how_many_rows_it_met(transaction: Connection) -> None:
    """And a row that is added gives its number."""
    assert _ADD_NUMBERED.scalar(transaction, _thing("một")) == 1
    assert _ADD_NUMBERED.scalar(transaction, _thing("hai")) == 2
    assert _MOVE.run(transaction, {"of_name": "hai", "moved_to": _NOW + timedelta(days=1)}) == 1
    assert _MOVE.run(transaction, {"of_name": "ba", "moved_to": _NOW}) == 0
    assert _NAMED.first(transaction, {"of_name": "hai"}).at == _NOW + timedelta(days=1)


def test_an_upsert_is_that_of_the_dialect(transaction: Connection) -> None:
    """What stands in conflict is left, and gives no number."""
    add = Prepared(Upsert(_TABLE, lambda adding: adding.on_conflict_do_nothing().returning(_TABLE.c.thing)))
    assert add.scalar(transaction, _thing("một")) == 1
    assert add.scalar(transaction, _thing("một")) is None


def test_errors_are_those_of_sqlalchemy(transaction: Connection) -> None:
    """Whoever catches a broken constraint, or translates what a driver says, finds the same errors."""
    _ADD.run(transaction, _thing("một"))
    with pytest.raises(IntegrityError):
        _ADD.run(transaction, _thing("một"))
    _TABLE.drop(transaction)
    with pytest.raises(OperationalError):
        _NAMED.first(transaction, {"of_name": "một"})


def test_an_error_at_a_later_row_is_one_of_sqlalchemy(transaction: Connection) -> None:
    """What the driver meets when the first rows are read already, as a page that is damaged, is translated as well."""
    for number in range(200):
        _ADD.run(transaction, _thing(f"thing {number}"))
    driver: Any = transaction.connection.dbapi_connection
    driver.set_progress_handler(lambda: True, 500)
    with pytest.raises(OperationalError):
        _ALL.all(transaction, {})
    driver.set_progress_handler(None, 0)


@pytest.mark.parametrize("members", [0, 1, 2, 3, 5, 64, 65, 600])
def test_a_list_means_what_it_means_to_sqlalchemy(transaction: Connection, members: int) -> None:
    """Of whatever length, beside other values, each member converted: `IN` finds its members, `NOT IN` the rest."""
    _ADD.run_each(transaction, [_thing(f"thing {number}", _NOW + timedelta(hours=number)) for number in range(700)])
    asked = {"times": [_NOW + timedelta(hours=number) for number in range(members)], "below": 650}
    for is_in in (True, False):
        listed = bindparam("times", expanding=True)
        found = _TABLE.c.at.in_(listed) if is_in else _TABLE.c.at.not_in(listed)
        statement = select(_TABLE.c.name).where(found, _TABLE.c.thing <= bindparam("below")).order_by(_TABLE.c.thing)
        expected = list(transaction.scalars(statement, asked))
        assert Prepared(statement).scalars(transaction, asked) == expected
        assert len(expected) == (members if is_in else 650 - members)


def test_a_change_of_listed_rows_meets_each_once(transaction: Connection) -> None:
    """What fills a list up to its marks changes nothing a second time."""
    _ADD.run_each(transaction, [_thing(f"thing {number}") for number in range(9)])
    later = _NOW + timedelta(days=1)
    move = Prepared(
        update(_TABLE).where(_TABLE.c.thing.in_(bindparam("among", expanding=True))).values(at=bindparam("moved_to"))
    )
    assert move.run(transaction, {"among": [1, 2, 3, 5, 7], "moved_to": later}) == 5
    assert [row.thing for row in _ALL.all(transaction, {}) if row.at == later] == [1, 2, 3, 5, 7]


def test_rows_that_are_added_give_their_numbers_in_order(transaction: Connection) -> None:
    """`scalar_each` gives one number for each row, and none for none."""
    add = Prepared(insert(_TABLE).returning(_TABLE.c.thing, sort_by_parameter_order=True))
    assert add.scalar_each(transaction, []) == []
    numbers = add.scalar_each(transaction, [_thing(name) for name in ("một", "hai", "ba")])
    assert [_NAMED.scalar(transaction, {"of_name": name}) for name in ("một", "hai", "ba")] == numbers


def test_what_cannot_be_prepared_is_refused(transaction: Connection) -> None:
    """Values that SQLAlchemy would make itself need SQLAlchemy."""
    made = Table(
        "made", MetaData(), Column("thing", Integer, primary_key=True), Column("at", Instant, default=lambda: _NOW)
    )
    with pytest.raises(TypeError, match="of its own"):
        Prepared(insert(made)).run(transaction, {"thing": 1})


def test_many_rows_are_written_by_one_call(transaction: Connection) -> None:
    """`run_each` writes every row, each converted as by itself, and nothing for no rows."""
    names = [f"thing {number}" for number in range(50)]
    _ADD.run_each(transaction, [])
    _ADD.run_each(transaction, [_thing(name, _NOW + timedelta(days=1)) for name in names])
    rows = transaction.execute(select(_TABLE).order_by(_TABLE.c.thing)).all()
    assert [(row.name, row.content, row.at) for row in rows] == [
        (name, name.encode(), _NOW + timedelta(days=1)) for name in names
    ]


def test_many_rows_fail_as_one_does(transaction: Connection) -> None:
    """A row that breaks a constraint raises SQLAlchemy's error, which shows no value."""
    with pytest.raises(IntegrityError) as caught:
        _ADD.run_each(transaction, [_thing("secret"), _thing("secret")])
    assert "secret" not in str(caught.value)
