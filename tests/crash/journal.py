"""What an agency's software knows it has had: one JSON line for each item, durable before the item counts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Journal:
    """Lines appended to a file; `commit` makes durable what was written since the last one."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, **line: object) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
