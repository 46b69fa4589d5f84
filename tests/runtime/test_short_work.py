"""Short work and long: where each is done."""

from __future__ import annotations

import threading

import pytest

from runtime.short_work import at_once_if


@pytest.mark.parametrize("is_short", [True, False])
async def test_short_work_is_done_where_it_is_asked_for_and_long_work_in_a_thread(is_short: bool) -> None:
    """The event loop does what is short by itself, and never what is long."""
    there = await at_once_if(is_short, threading.get_ident)
    assert (there == threading.get_ident()) is is_short
