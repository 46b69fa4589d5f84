"""The node's tables are registered here, whichever module declares them; migrations compare against this."""

from __future__ import annotations

from typing import TypeAlias

import sqlalchemy
from sqlalchemy import BigInteger, Dialect, Integer, MetaData, String
from sqlalchemy.types import TypeDecorator, TypeEngine

from schemas.codes import AgencyCode

#: What every store function works in. A *connection* is something else here: the node's own, at its hub.
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

#: A number that the database gives, in order. SQLite counts by itself only in a column that is exactly an INTEGER.
RowNumber = BigInteger().with_variant(Integer, "sqlite")

Digest = String(64)


class Code(TypeDecorator[AgencyCode]):
    """An agency code, compared byte by byte, so that the codes below a prefix are one range."""

    impl = String(35)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        return dialect.type_descriptor(String(35, collation="C" if dialect.name == "postgresql" else None))

    def process_bind_param(self, value: AgencyCode | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> AgencyCode | None:  # noqa: ARG002 - as above
        return None if value is None else AgencyCode(value)
