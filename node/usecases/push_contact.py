"""Whether the hub pushes: while it does, the mailbox is asked only now and then."""

from __future__ import annotations

from datetime import datetime, timedelta

from runtime.clock import Clock


class PushContact:
    """When the hub last pushed. It is trusted to go on for `trust`; meanwhile a poll every `interval` is enough."""

    def __init__(self, clock: Clock, *, trust: timedelta, interval: timedelta) -> None:
        self._clock = clock
        self._trust = trust
        self._interval = interval
        self._pushed_at: datetime | None = None

    def pushed(self) -> None:
        """A push came, an empty one counts: by it the hub says that it can."""
        self._pushed_at = self._clock()

    @property
    def works(self) -> bool:
        """Whether the hub has pushed of late. A clock that went back makes that unknown."""
        return self._left(self._clock()) > timedelta(0)

    def rest(self, polled_at: datetime | None) -> float:
        """Seconds until the mailbox, last asked at `polled_at`, is to be asked again; 0 if at once."""
        now = self._clock()
        if polled_at is None or polled_at > now:
            return 0.0
        return max(0.0, min(polled_at + self._interval - now, self._left(now)).total_seconds())

    def _left(self, now: datetime) -> timedelta:
        if self._pushed_at is None or self._pushed_at > now:
            return timedelta(0)
        return self._pushed_at + self._trust - now
