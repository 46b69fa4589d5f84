"""A file of agencies: CSV, as a spreadsheet saves it, with a line of column names.

    code,name,older_codes,connection
    H23,UBND tỉnh Hải Dương,000.00.00.H23,
    H23.12,Sở Tư pháp,000.00.12.H23,H23

`older_codes` are separated by blanks. `connection` serves the agency; where it is empty, the agency keeps the one that
it has, and a new agency gets one of its own. Columns may stand in any order; the last two may be missing. The separator
is a comma or, as a Vietnamese Excel writes it, a semicolon.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hub.usecases.connections import require_name
from schemas.codes import AgencyCode
from schemas.errors import Rejected

_NEEDED: Final = ("code", "name")
_COLUMNS: Final = (*_NEEDED, "older_codes", "connection")

#: Characters of a field, far beyond what any has: a quotation mark that nobody closed would swallow the file.
_LONGEST_FIELD: Final = 10_000


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row that can be read: `line` is where it stands; `connection` is None where the file names none."""

    line: int
    code: AgencyCode
    name: str
    older_codes: tuple[AgencyCode, ...]
    connection: str | None


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a row cannot be taken: the rule that it breaks, and the mend."""

    line: int
    subject: str
    rule: str
    message: str
    mend: str | None

    @classmethod
    def of(cls, line: int, subject: str, error: Rejected) -> RowFault:
        return cls(line, subject, error.code, error.message, error.mend)


def read_agency_file(lines: Iterable[str]) -> Iterator[FileRow | RowFault]:
    """The rows of a file in their order, each as it is or with why it is none; a row without any text is passed over.

    Raises Rejected: `csv-header`, if the line of column names is not as it should be.
    """
    each = iter(lines)
    head = next(each, "").lstrip("\ufeff")
    separator = ";" if head.count(";") > head.count(",") else ","
    names = [name.strip().lower() for name in next(csv.reader([head], delimiter=separator), [])]
    _require_columns(names)
    csv.field_size_limit(_LONGEST_FIELD)
    rows = csv.reader(each, delimiter=separator, strict=True)
    while True:
        # Where the row begins: a quotation mark that nobody closed takes lines with it, and is to be found there.
        line = rows.line_num + 2
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            mend = "Close each quotation mark, and write one inside quoted text twice."
            ended = f" up to line {rows.line_num + 1}" if rows.line_num + 1 > line else ""
            yield RowFault(line, "", "csv-malformed", f"The row{ended} is no CSV: {error}.", mend)
            continue
        if any(field.strip() for field in fields):
            yield _row(line, names, fields)


def _require_columns(names: Sequence[str]) -> None:
    missing = [name for name in _NEEDED if name not in names]
    unknown = [name for name in names if name not in _COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        fault = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(map(repr, unknown)) or 'a column twice'}"
        raise Rejected(
            "csv-header",
            f"The first line {fault}; the columns are {', '.join(_COLUMNS)}.",
            mend="Begin the file with the line code,name,older_codes,connection.",
        )


def _row(line: int, names: Sequence[str], fields: Sequence[str]) -> FileRow | RowFault:
    if len(fields) > len(names):
        message = f"The row has {len(fields)} fields, the first line {len(names)}."
        return RowFault(line, fields[0], "csv-fields", message, "Put text that holds the separator in quotation marks.")
    values = dict(zip(names, (field.strip() for field in fields), strict=False))
    code = values.get("code", "")
    try:
        require_name(values.get("name", ""))
        return FileRow(
            line=line,
            code=AgencyCode.parse(code),
            name=values["name"],
            older_codes=tuple(map(AgencyCode.parse, values.get("older_codes", "").split())),
            connection=values.get("connection") or None,
        )
    except Rejected as error:
        return RowFault.of(line, code, error)
