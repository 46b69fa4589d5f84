"""How seldom the mailbox is asked while the hub pushes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from node.usecases.push_contact import PushContact

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def contact(clock: Clock) -> PushContact:
    return PushContact(clock, trust=timedelta(seconds=180), interval=timedelta(seconds=300))


def test_without_a_push_the_mailbox_is_asked_at_once() -> None:
    """Nothing is relied on that has not come yet."""
    pushes = contact(Clock())
    assert not pushes.works
    assert pushes.rest(NOW) == 0


def test_while_pushes_come_a_poll_rests_until_its_interval_is_over() -> None:
    """Each push prolongs the trust; after five minutes the mailbox is asked all the same."""
    clock = Clock()
    pushes = contact(clock)
    rests = []
    for minutes in range(6):
        clock.now = NOW + timedelta(minutes=minutes)
        pushes.pushed()
        rests.append(pushes.rest(NOW))
    assert rests == [180, 180, 180, 120, 60, 0]


def test_when_pushes_cease_the_mailbox_is_asked_as_if_there_were_none() -> None:
    """Trust ends at its time, to the second."""
    clock = Clock()
    pushes = contact(clock)
    pushes.pushed()
    clock.now = NOW + timedelta(seconds=179)
    assert (pushes.works, pushes.rest(clock.now)) == (True, 1)
    clock.now = NOW + timedelta(seconds=180)
    assert (pushes.works, pushes.rest(clock.now)) == (False, 0)


def test_a_clock_that_went_back_ends_the_trust() -> None:
    """A push in the future tells nothing: the node polls, and loses nothing but a few questions."""
    clock = Clock()
    pushes = contact(clock)
    pushes.pushed()
    clock.now = NOW - timedelta(hours=5)
    assert (pushes.works, pushes.rest(clock.now)) == (False, 0)
