"""Settings of what connections may say themselves of the units below their agencies."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from runtime.settings import Settings


class UnitPolicy(StrEnum):
    """What becomes of a connection's wish: it is done, the operator is asked, or it is refused."""

    AT_ONCE = "at-once"
    APPROVAL = "approval"
    REFUSED = "refused"


class UnitSettings(Settings):
    """Units that connections declare and retire themselves, below the agencies that they serve."""

    policy: UnitPolicy = UnitPolicy.APPROVAL
    """at-once: it is done. approval: it waits for `congvan hub agency approve`. refused: you alone change agencies."""
    per_connection: int = Field(5000, ge=0, le=200_000)
    """How many agencies a connection may come to serve by declaring, retired ones (whose codes stay) among them."""
    requests: int = Field(1000, ge=1, le=100_000)
    """How many requests of one connection may wait for you at a time."""
    changes_per_day: int = Field(2000, ge=1, le=100_000)
    """How many changes and requests one connection may make in a day (UTC); each change is a directory version."""
