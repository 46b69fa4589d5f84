"""Lines of the log about messages: one for what happens to several at one moment."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from node.usecases.message_log import MessageLog


async def test_what_happens_to_several_at_one_moment_is_one_line() -> None:
    """Messages of which the same is told in one turn of the event loop share a line that names them all, in order."""
    told = MessageLog(one="message.accepted", many="messages.accepted")
    with capture_logs() as lines:
        for name in ("a1", "b2", "c3"):
            told.tell(name, attempts=1)
        told.tell("d4", attempts=2)
        await asyncio.sleep(0)
    assert lines == [
        {"event": "messages.accepted", "messages": ["a1", "b2", "c3"], "count": 3, "attempts": 1, "log_level": "info"},
        {"event": "message.accepted", "message": "d4", "attempts": 2, "log_level": "info"},
    ]


async def test_what_happens_later_is_a_line_of_its_own() -> None:
    """Nothing that was told is told again, and the next turn has its own line."""
    told = MessageLog(one="message.accepted", many="messages.accepted")
    with capture_logs() as lines:
        for name in ("a1", "b2"):
            told.tell(name)
            await asyncio.sleep(0)
    assert [(line["event"], line["message"]) for line in lines] == [
        ("message.accepted", "a1"),
        ("message.accepted", "b2"),
    ]
