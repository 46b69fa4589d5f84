"""Charts of a run as SVG, plain enough for a diff: how each row stands to its reach, and figures beside references."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from benchmarks.report import figure

_WIDTH: Final = 860
_LABELS: Final = 330
_BAR: Final = 18
_STEP: Final = 28
_HEAD: Final = 56

_OURS: Final = "#1f6f8b"
_REFERENCE: Final = "#b8b8b8"
_SHORT: Final = "#c8553d"

#: The chart of standings goes from a fortieth of what should be reached to ten times it.
_LEAST, _MOST = 1 / 40, 10.0

RunRow = Mapping[str, Any]


def standing(row: RunRow) -> float:
    """How far a row of a run is: 1 where it just holds, 2 where it is twice as good, 0.5 where it is half-way."""
    side, _, bound = row["reach"].rpartition(" ")
    return float(row["ratio"] / float(bound) if side == "at least" else float(bound) / row["ratio"])


def standings(rows: Sequence[RunRow]) -> str:
    """All rows that have something to reach, on a logarithmic scale; beyond the line they hold."""
    lines = []
    unit = _WIDTH - _LABELS - 60
    middle = _LABELS + unit * _place(1.0)
    for number, row in enumerate(row for row in rows if row["reach"]):
        far = standing(row)
        top = _HEAD + number * _STEP
        end = _LABELS + unit * _place(far)
        lines += _label(row["row"], top)
        lines.append(_rect(_LABELS, top, end - _LABELS, _OURS if row["holds"] else _SHORT))
        lines.append(_text(end + 6, top + 13, f"{figure(far)}×"))
    height = _HEAD + _STEP * sum(1 for row in rows if row["reach"]) + 8
    lines.append(f'<line x1="{middle:.1f}" y1="{_HEAD - 10}" x2="{middle:.1f}" y2="{height}" stroke="#333"/>')
    lines.append(_text(middle - 24, _HEAD - 16, "reached"))
    return _svg("How far each row is, by what it should reach", lines, height)


def beside(title: str, rows: Sequence[RunRow]) -> str:
    """Figures of one unit, each above the one that it is measured against."""
    most = max(max(row["value"], row["reference"]) for row in rows)
    unit = _WIDTH - _LABELS - 90
    lines = []
    for number, row in enumerate(rows):
        top = _HEAD + number * 2 * _STEP
        lines += _label(row["row"], top)
        for offset, key, colour in ((0, "value", _OURS), (_BAR + 2, "reference", _REFERENCE)):
            width = unit * row[key] / most
            lines.append(_rect(_LABELS, top + offset, width, colour))
            lines.append(_text(_LABELS + width + 6, top + offset + 13, f"{figure(row[key])} {row['unit']}"))
    return _svg(title, lines, _HEAD + 2 * _STEP * len(rows) + 8)


def _place(far: float) -> float:
    """From 0 to 1 along the logarithmic scale."""
    bounded = min(max(far, _LEAST), _MOST)
    return math.log(bounded / _LEAST) / math.log(_MOST / _LEAST)


def _label(text: str, top: float) -> list[str]:
    return [_text(_LABELS - 10, top + 13, text, anchor="end")]


def _rect(left: float, top: float, width: float, colour: str) -> str:
    return f'<rect x="{left}" y="{top}" width="{max(width, 1):.1f}" height="{_BAR}" fill="{colour}"/>'


def _text(left: float, top: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, lines: Sequence[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
        f' font-size="13" role="img"><title>{escape(title)}</title>'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>'
    )
    return "\n".join((head, *lines, "</svg>\n"))
