"""Who may take a place among the hand-overs under way: no agency's software takes all of them from the others.

An agency, and an adapter, leaves one place to others where the node serves others. An agency whose software did not
answer in time has one place until it answers; all such agencies together leave one place, too. So does bulk: large
ordinary documents leave a place to short ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeAlias

from node.settings_exchange import HandoverSettings
from node.usecases.handover import AdapterRoute, Addressed
from node.usecases.lanes import EXPRESS_LANE, Piece, has_bulk_room, has_room
from schemas.codes import AgencyCode

#: The agencies that the node serves, by the directory as it stands.
Served: TypeAlias = Callable[[], Sequence[AgencyCode]]


class ToAgency(Piece, Protocol):
    """What takes a place: hand-overs to one agency."""

    @property
    def code(self) -> AgencyCode: ...


class FairPlaces:
    """The places for hand-overs, and which agencies' software hangs."""

    def __init__(self, settings: HandoverSettings, route: AdapterRoute, served: Served) -> None:
        self._settings = settings
        self._route = route
        self._served = served
        self._hanging: set[AgencyCode] = set()
        # Thousands of agencies may be served: which adapters have them is found out when the directory changes.
        self._known: Sequence[AgencyCode] = ()
        self._has_several_adapters = False

    @property
    def hanging(self) -> frozenset[AgencyCode]:
        """The agencies whose software did not answer when it was last called."""
        return frozenset(self._hanging)

    def note(self, code: AgencyCode, *, timed_out: bool) -> None:
        """How a hand-over to `code` ended: any answer, a refusal included, says that the software does not hang."""
        if timed_out:
            self._hanging.add(code)
        else:
            self._hanging.discard(code)

    def admits(self, row: ToAgency, running: Collection[ToAgency]) -> bool:
        """Whether `row` may begin beside those that are `running`."""
        lanes = (other.lane for other in running)
        settings = self._settings
        if not has_room(row.lane, lanes, parallel=settings.parallel, reserve=settings.express_reserve):
            return False
        if row.is_bulk and row.lane != EXPRESS_LANE and not self.has_bulk_room(running):
            return False
        return self._has_share(row.code, running, is_express=row.lane == EXPRESS_LANE)

    def has_bulk_room(self, running: Collection[ToAgency]) -> bool:
        """Whether more ordinary bulk may begin beside those that are `running`."""
        return has_bulk_room(running, parallel=self._settings.parallel, reserve=self._settings.express_reserve)

    def without_place(self, running: Collection[ToAgency], *, is_express: bool) -> frozenset[AgencyCode]:
        """The agencies that have all the places that they may have in such lanes: their rows need not be looked at."""
        codes = {*self._hanging, *(row.code for row in running)}
        if self._several_adapters():
            codes.update(self._served())
        return frozenset(code for code in codes if not self._has_share(code, running, is_express=is_express))

    def _has_share(self, code: AgencyCode, running: Collection[ToAgency], *, is_express: bool) -> bool:
        """An express document counts all that is under way, an ordinary one only what has no lane of its own."""
        settings = self._settings
        places = settings.parallel if is_express else max(1, settings.parallel - settings.express_reserve)
        all_but_one = max(1, places - 1)
        counted = [row.code for row in running if is_express or row.lane != EXPRESS_LANE]
        if code in self._hanging:
            # An express document may try beside an ordinary one that hangs already.
            own = sum(1 for row in running if row.code == code and (row.lane == EXPRESS_LANE) is is_express)
            return own < 1 and sum(1 for other in counted if other in self._hanging) < all_but_one
        if len(self._served()) > 1 and counted.count(code) >= all_but_one:
            return False
        if not self._several_adapters():
            return True
        adapter = self._adapter(code)
        return sum(1 for other in counted if self._adapter(other) == adapter) < all_but_one

    def _adapter(self, code: AgencyCode) -> str | None:
        connected = self._route(Addressed(code))
        return connected.name if connected else None

    def _several_adapters(self) -> bool:
        served = self._served()
        if served is not self._known:
            self._known = served
            self._has_several_adapters = len({self._adapter(code) for code in served}) > 1
        return self._has_several_adapters
