"""Where the hub's migrations lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

#: Alembic's folder, installed with the package.
MIGRATIONS: Final = Path(__file__).parent / "migrations"
