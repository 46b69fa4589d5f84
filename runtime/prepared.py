"""Statements that every document needs, prepared once: on SQLite they go to the driver as they are.

SQLAlchemy's way from a statement that was built before to SQLite's driver and back takes 18 to 31 µs for a row, the
driver and SQLite 1.5 µs, this 6 to 8 µs (docs/performance.md). So a `Prepared` has its statement compiled once and then
hands text and values over by itself; values and results pass through the types of the columns as they do in SQLAlchemy.
On PostgreSQL, whose driver is not for this thread to call, SQLAlchemy runs the same statement.

A list of values (`IN`) has a mark for each member. It is filled up to the next power of two with its last member, which
changes nothing, so that a handful of texts serves lists of every length.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BindParameter, Connection, Dialect, Executable, Select
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.sql import ClauseElement, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from runtime.columns import Upsert

Values: TypeAlias = Mapping[str, Any]
_Converter: TypeAlias = Callable[[Any], Any] | None

#: A longer list is SQLAlchemy's: what is paid for each member is then more than what a statement costs.
_LONGEST_LIST: Final = 512
#: No row, where a list has no member.
_NOTHING: Final = "(SELECT 1 WHERE 0)"


class Prepared:
    """A statement, or one for each dialect. Its values have names; an expanding one is a list.

    Rows have their columns as attributes, in either dialect.
    """

    def __init__(self, statement: Executable | Upsert) -> None:
        self._statement = statement
        self._lists = () if isinstance(statement, Upsert) else _lists_in(statement)
        # By the names of the values, for an INSERT is another one for other columns, and the marks of each list.
        # Compiled twice by two threads at once, it is the same twice.
        self._compiled: dict[tuple[tuple[str, ...], tuple[int, ...]], _Compiled] = {}

    def all(self, transaction: Connection, values: Values) -> Sequence[Any]:
        """Every row that the statement gives."""
        if self._is_for_sqlalchemy(transaction, values):
            return transaction.execute(self._of(transaction), dict(values)).all()
        compiled = self._for(transaction, values)
        return compiled.rows(compiled.fetched(transaction, values))

    def first(self, transaction: Connection, values: Values) -> Any | None:
        """The first row, None if there is none."""
        return next(iter(self.all(transaction, values)), None)

    def scalars(self, transaction: Connection, values: Values) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in self.all(transaction, values)]

    def scalar(self, transaction: Connection, values: Values) -> Any | None:
        """The first column of the first row, None if there is none."""
        row = self.first(transaction, values)
        return None if row is None else row[0]

    def run(self, transaction: Connection, values: Values) -> int:
        """Run a statement that gives no row; how many rows it changed."""
        if self._is_for_sqlalchemy(transaction, values):
            return transaction.execute(self._of(transaction), dict(values)).rowcount
        return self._for(transaction, values).run(transaction, values)

    def run_each(self, transaction: Connection, rows: Sequence[Values]) -> None:
        """Run a statement that gives no row once for each of `rows`, all of which name the same values."""
        if not rows:
            return
        if transaction.dialect.name != "sqlite":
            transaction.execute(self._of(transaction), [dict(values) for values in rows])
            return
        self._for(transaction, rows[0]).run_each(transaction, rows)

    def scalar_each(self, transaction: Connection, rows: Sequence[Values]) -> list[Any]:
        """Add each of `rows`, all of which name the same values; what the statement gives for each, in their order.

        It gives one column (`returning`), sorted by parameter order.
        """
        if transaction.dialect.name != "sqlite":
            return list(transaction.scalars(self._of(transaction), [dict(values) for values in rows])) if rows else []
        return [self.scalar(transaction, values) for values in rows]

    def _is_for_sqlalchemy(self, transaction: Connection, values: Values) -> bool:
        if transaction.dialect.name != "sqlite":
            return True
        return bool(self._lists) and any(len(values[name]) > _LONGEST_LIST for name in self._lists)

    def _of(self, transaction: Connection) -> Executable:
        return self._statement.on(transaction) if isinstance(self._statement, Upsert) else self._statement

    def _for(self, transaction: Connection, values: Values) -> _Compiled:
        names = tuple(values)
        marks = tuple([_marks_for(len(values[name])) for name in self._lists]) if self._lists else ()
        compiled = self._compiled.get((names, marks))
        if compiled is None:
            lists = dict(zip(self._lists, marks, strict=True))
            compiled = _Compiled.of(self._of(transaction), names, lists, transaction.dialect)
            self._compiled[names, marks] = compiled
        return compiled


class _Bind(NamedTuple):
    """What stands at a mark: the value of that name, converted; or a constant. A list stands at several `marks`."""

    name: str | None
    convert: _Converter
    constant: Any = None
    marks: int | None = None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement as SQLite's driver takes it, what stands at each of its marks, and what becomes of the rows."""

    text: str
    binds: tuple[_Bind, ...]
    row: Callable[[Sequence[Any]], Any]
    converters: tuple[tuple[int, Callable[[Any], Any]], ...]
    has_lists: bool

    @classmethod
    def of(cls, statement: Executable, names: Sequence[str], lists: Mapping[str, int], dialect: Dialect) -> _Compiled:
        """`lists` gives each list its marks."""
        assert isinstance(statement, ClauseElement)  # noqa: S101 - every statement of ours is
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - as above
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise TypeError(f"SQLAlchemy would make values of its own for {compiled}")
        text = str(compiled)
        binds: list[_Bind] = []
        for name in compiled.positiontup or ():
            bind = compiled.binds[name]
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if name in lists:
                text = text.replace(f"(__[POSTCOMPILE_{name}])", _marked(lists[name]))
                binds.append(_Bind(name, convert, marks=lists[name]))
            elif name in names:
                binds.append(_Bind(name, convert))
            else:
                constant: Any = bind.effective_value
                members = constant if bind.expanding else [constant]
                text = text.replace(f"(__[POSTCOMPILE_{name}])", _marked(len(members)))
                binds += [_Bind(None, None, member if convert is None else convert(member)) for member in members]
        if "POSTCOMPILE" in text:
            raise TypeError(f"SQLAlchemy would finish this when it is run: {text}")
        columns = _columns_of(statement)
        names_of: Any = [column.key for column in columns]
        row: Any = namedtuple("Row", names_of, rename=True)  # type: ignore[misc]  # the statement names them
        return cls(
            text,
            tuple(binds),
            row._make,
            tuple(
                (place, convert)
                for place, column in enumerate(columns)
                if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
            ),
            bool(lists),
        )

    def run(self, transaction: Connection, values: Values) -> int:
        driver, bound = _driver_in(transaction), self._bound(values)
        try:
            return driver.execute(self.text, bound).rowcount
        except sqlite3.Error as error:
            raise self._failed(transaction, bound, error) from error

    def run_each(self, transaction: Connection, rows: Sequence[Values]) -> None:
        driver, bound = _driver_in(transaction), [self._bound(values) for values in rows]
        try:
            driver.executemany(self.text, bound)
        except sqlite3.Error as error:
            raise self._failed(transaction, bound, error) from error

    def fetched(self, transaction: Connection, values: Values) -> Sequence[Sequence[Any]]:
        driver, bound = _driver_in(transaction), self._bound(values)
        try:
            # What fails at a later row than the first fails while they are fetched.
            return driver.execute(self.text, bound).fetchall()
        except sqlite3.Error as error:
            raise self._failed(transaction, bound, error) from error

    def _bound(self, values: Values) -> list[Any]:
        if self.has_lists:
            return [member for bind in self.binds for member in _members(bind, values)]
        return [
            constant if name is None else values[name] if convert is None else convert(values[name])
            for name, convert, constant, _ in self.binds
        ]

    def _failed(self, transaction: Connection, bound: Sequence[Any], error: sqlite3.Error) -> StatementError:
        return DBAPIError.instance(
            self.text, bound, error, sqlite3.Error, hide_parameters=True, dialect=transaction.dialect
        )

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        if not self.converters:
            return [self.row(row) for row in found]
        rows = []
        for each in found:
            row = list(each)
            for place, convert in self.converters:
                row[place] = convert(row[place])
            rows.append(self.row(row))
        return rows


def _members(bind: _Bind, values: Values) -> Sequence[Any]:
    """What stands at the marks of `bind`."""
    name, convert, constant, marks = bind
    if name is None:
        return (constant,)
    if marks is None:
        return (values[name] if convert is None else convert(values[name]),)
    members = [*values[name]] if convert is None else [convert(member) for member in values[name]]
    return members + members[-1:] * (marks - len(members))


def _marks_for(members: int) -> int:
    """As many marks as a list of so many members gets: the next power of two."""
    return 1 << (members - 1).bit_length() if members else 0


def _marked(marks: int) -> str:
    return f"({', '.join('?' * marks)})" if marks else _NOTHING


def _lists_in(statement: Executable) -> tuple[str, ...]:
    """The names of the values that are lists; a list that the statement brings along has a name of SQLAlchemy's."""
    assert isinstance(statement, ClauseElement)  # noqa: S101 - every statement of ours is
    found = (each for each in visitors.iterate(statement) if isinstance(each, BindParameter))
    return tuple(sorted({bind.key for bind in found if bind.expanding and not bind.unique}))


def _driver_in(transaction: Connection) -> sqlite3.Connection:
    """The driver's connection, in a transaction."""
    if not transaction.in_transaction():
        transaction.begin()
    driver: Any = transaction.connection.dbapi_connection
    connection: sqlite3.Connection = driver
    return connection


def _columns_of(statement: ClauseElement) -> Sequence[Any]:
    """The columns of the rows that `statement` gives."""
    if isinstance(statement, Select):
        return list(statement.selected_columns)
    return list(statement.exported_columns) if isinstance(statement, UpdateBase) else []
