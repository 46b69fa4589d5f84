"""Errors as the record keeps them: in the `trouble_…` columns of a row, to be shown to people."""

from __future__ import annotations

from sqlalchemy import Row

from node.store.records import Trouble
from schemas.errors import CongvanError

#: Values that say that nothing is wrong.
NO_TROUBLE: dict[str, object] = dict.fromkeys(
    ("trouble_code", "trouble_text", "trouble_element", "trouble_line", "trouble_mend")
)


def trouble_of(error: CongvanError) -> Trouble:
    return Trouble(code=error.code, text=error.message, element=error.element, line=error.line, mend=error.mend)


def trouble_values(trouble: Trouble) -> dict[str, object]:
    return {
        "trouble_code": trouble.code,
        "trouble_text": trouble.text,
        "trouble_element": trouble.element,
        "trouble_line": trouble.line,
        "trouble_mend": trouble.mend,
    }


def trouble_in(row: Row[tuple[object, ...]]) -> Trouble | None:
    if row.trouble_code is None:
        return None
    return Trouble(
        code=row.trouble_code,
        text=row.trouble_text,
        element=row.trouble_element,
        line=row.trouble_line,
        mend=row.trouble_mend,
    )
