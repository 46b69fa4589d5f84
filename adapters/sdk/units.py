"""Units below an agency of the node: what its software may declare and retire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.codes import AgencyCode


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredUnit:
    """A unit that the node is to serve. `mail` and `phone` are for the hub's operator, who may have to approve."""

    code: AgencyCode
    name: str
    mail: str = ""
    phone: str = ""


class UnitStanding(StrEnum):
    """What came of a wish: it is done, or the hub's operator decides; asking again tells how it stands then."""

    DONE = "done"
    AWAITING_APPROVAL = "awaiting-approval"
