"""Room on the disk that is promised to attachments in the bodies of submissions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from hub.store.metadata import metadata
from runtime.columns import Instant

#: `holder` is the file that the bytes go to. A promise ends by itself: who held it may have died. (Uploads need no row
#: here: what is promised to them stands in their own.)
space_reservations = Table(
    "space_reservations",
    metadata,
    Column("holder", String(32), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("ends_at", Instant, nullable=False),
)
