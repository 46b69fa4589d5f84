"""What commands show: tables and colour for people, JSON for machines, one sentence for an error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from runtime.files import storage_error
from schemas.errors import CongvanError, Unavailable
from schemas.times import VIETNAM

#: Into a file or a pipe a table is as wide as it needs to be: nothing is cut off for want of a screen.
_WIDE = 400

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def show_json(value: object) -> None:
    """One JSON value on one line of standard output, Vietnamese as it is written."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output; None is shown as a dash, instants in Vietnam's time."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    out.print(table)


def show_lines(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output without its drawing: for thousands of rows. Columns line up within one call."""
    lines = [columns, *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    sys.stdout.writelines(
        "  ".join(set_cell_size(text, width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return local_time(value) if isinstance(value, datetime) else str(value)


def local_time(instant: datetime) -> str:
    """An instant as people here read it: Asia/Ho_Chi_Minh, to the second."""
    return instant.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S")


def say(sentence: str) -> None:
    """A sentence on standard output; rich markup is meant."""
    out.print(sentence)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error for `total` bytes, silent where that is no terminal; gives `advance(bytes)`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(escape(description), total=total)
        yield lambda amount: bar.update(task, advance=amount)


@contextmanager
def moving(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error that is told where it stands: so many bytes, of so many.

    Silent where that is no terminal; nothing is shown before it is told for the first time.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(escape(description), total=None, visible=False)
        yield lambda position, total: bar.update(task, completed=position, total=total, visible=True)


@dataclass(frozen=True, slots=True)
class Count:
    """Counts pieces done on a progress bar: how many there are, once that is known, and each step. Threads may call."""

    begin: Callable[[int], None]
    advance: Callable[[int], None]


@contextmanager
def counting(description: str) -> Iterator[Count]:
    """A progress bar on standard error for pieces of which the number comes later; silent where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(escape(description), total=None)
        yield Count(
            lambda total: bar.update(task, total=total),
            lambda pieces: bar.update(task, advance=pieces),
        )


def run_program(app: typer.Typer) -> NoReturn:
    """Run a command line: an error is one sentence on standard error and exit status 1, never a traceback."""
    try:
        app()
    except CongvanError as error:
        fail(error)
    except OSError as error:
        fail(storage_error(error, _path_of(error)))
    except Exception as error:
        if os.environ.get("CONGVAN_TRACEBACK"):
            raise
        sentence = f"An error that should not be: {type(error).__name__}: {error}."
        fail(Unavailable("internal", sentence, mend="Set CONGVAN_TRACEBACK=1 to see where, and report it."))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def fail(error: CongvanError) -> NoReturn:
    err.print(f"[red]congvan:[/red] {escape(str(error))}")
    sys.exit(1)


def _path_of(error: OSError) -> Any:
    return error.filename if error.filename is not None else "system"
