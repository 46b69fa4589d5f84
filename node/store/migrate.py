"""Where the node's migrations lie, for `runtime.migrations.upgrade`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MIGRATIONS: Final = Path(__file__).parent / "migrations"
