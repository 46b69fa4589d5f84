"""The hub's tables are registered here, whichever module declares them; migrations compare against this."""

from __future__ import annotations

from typing import TypeAlias

import sqlalchemy
from sqlalchemy import MetaData, String
from sqlalchemy.types import TypeEngine

#: What every store function works in. A *connection* is something else here: a node that agencies are served by.
Transaction: TypeAlias = sqlalchemy.Connection

#: Constraints have names in both databases, so that a migration can speak of them.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def code_text() -> TypeEngine[str]:
    """The type of a column of agency codes: compared byte by byte, so that the codes below a prefix are one range."""
    return String(35).with_variant(String(35, collation="C"), "postgresql")
