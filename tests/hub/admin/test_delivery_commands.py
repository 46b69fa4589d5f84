"""`congvan hub deliveries`, `redeliver`, `cancel`: what they say to people and to programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result

from congvan.cli import app
from hub.foundation import Foundation, open_foundation
from hub.settings import HubFolder
from hub.store import fanouts, messages
from hub.store.deliveries import Target
from hub.store.fanouts import Consignment
from hub.store.messages import MessageKind, NewMessage
from hub.store.metadata import Transaction
from schemas.errors import CongvanError

Command: TypeAlias = Callable[..., Result]
MESSAGE = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
DOCUMENT_ID = "G22,2026/11/20,6101/VPCP-KSTT"


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `congvan hub …` on a hub that has one document of G22 for H23 and H31, accepted three hours ago."""
    runner = CliRunner()
    place = tmp_path / "hub"

    def run(*arguments: str) -> Result:
        return runner.invoke(app, ["hub", *arguments], env={"CONGVAN_HUB_DIR": str(place)})

    for arguments in (
        ("init", str(place), "--name", "hub.example.test", "--listen", "127.0.0.1:0"),
        *(("agency", "add", code, "--name", code) for code in ("G22", "H23", "H31")),
    ):
        assert run(*arguments).exit_code == 0
    asyncio.run(_accept(place))
    return run


async def _accept(place: Path) -> None:
    async with open_foundation(HubFolder(place)) as hub:
        await hub.database.write(lambda transaction: _add(transaction, hub))


def _add(transaction: Transaction, hub: Foundation) -> None:
    at = hub.clock() - timedelta(hours=3)
    expires_at = at + timedelta(days=30)
    new = NewMessage(
        message_id=MESSAGE,
        from_code="G22",
        sender="G22",
        connection="G22",
        kind=MessageKind.DOCUMENT,
        document_id=DOCUMENT_ID,
        priority=0,
        lane=3,
        accepted_at=at,
        expires_at=expires_at,
        directory_version=1,
        recipients_count=2,
        recipients_digest="0" * 64,
        left_out=(),
        weight=1000,
        envelope=b"<edXML/>",
    )
    (number,) = messages.add(transaction, [new])
    assert number is not None
    consignment = Consignment(message=number, lane=3, weight=1000, expires_at=expires_at)
    targets = [Target("H23", "H23"), Target("H31", "H31")]
    fanouts.begin(transaction, {consignment: targets}, batch=500, at=at)


def lines(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def refusal(result: Result) -> CongvanError:
    assert isinstance(result.exception, CongvanError), result.output
    return result.exception


def test_deliveries_are_listed_for_people_and_for_programs(command: Command) -> None:
    """The table names both ends, the state and the age; JSON has one object a line; a filter narrows either."""
    shown = command("deliveries").stdout
    assert all(word in shown for word in (MESSAGE[:12], "G22", "H23", "H31", "queued"))
    assert [row["recipient"] for row in lines(command("deliveries", "--json"))] == ["H23", "H31"]
    (row,) = lines(command("deliveries", "--to", "H31", "--from", "G22", "--older-than", "2h", "--json"))
    assert (row["message_id"], row["state"], row["document_id"]) == (MESSAGE, "queued", DOCUMENT_ID)
    assert "No such delivery" in command("deliveries", "--older-than", "4h").stdout
    assert refusal(command("deliveries", "--older-than", "soon")).code == "option-malformed"


def test_a_delivery_is_cancelled_and_queued_anew(command: Command) -> None:
    """The operator names a message by the beginning of its id or by its DocumentId, and sees what was done."""
    cancelled = command("cancel", MESSAGE[:12], "--agency", "H23", "--reason", "sent to the wrong agency")
    assert cancelled.exit_code == 0, cancelled.output
    assert "cancelled for H23" in cancelled.stdout
    (dead,) = lines(command("deliveries", "--state", "dead", "--json"))
    assert (dead["recipient"], dead["last_error"]) == ("H23", "sent to the wrong agency")
    (done,) = lines(command("cancel", MESSAGE, "--reason", "x", "--json"))
    assert done == {"message_id": MESSAGE, "recipients": ["H31"], "escaped": []}
    command("redeliver", MESSAGE, "--agency", "H31")
    (done,) = lines(command("redeliver", DOCUMENT_ID, "--json"))
    assert (done["queued"], done["offered_again"]) == (["H23"], [])
    assert [row["state"] for row in lines(command("deliveries", "--json"))] == ["queued", "queued"]
    (balance,) = lines(command("balance", "--json"))
    assert (balance["balances"], balance["overall"]["pending"]) == (True, 2)


def test_an_order_that_does_nothing_fails_with_the_reason(command: Command) -> None:
    """Nothing to queue anew, no such message, no reason: each ends with an error and status 1 (or 2 for usage)."""
    assert refusal(command("redeliver", MESSAGE)).code == "nothing-to-redeliver"
    assert refusal(command("cancel", "0" * 64, "--reason", "x")).code == "message-unknown"
    assert command("cancel", MESSAGE).exit_code == 2


def test_a_trace_tells_people_and_programs_the_whole_story(command: Command) -> None:
    """By DocumentId: the state of each delivery, what happened, who ordered what and why."""
    command("cancel", MESSAGE, "--agency", "H23", "--reason", "sent to the wrong agency")
    shown = command("trace", DOCUMENT_ID)
    assert shown.exit_code == 0, shown.output
    for word in (MESSAGE, "accepted", "cancelled", "queued", "delivery.cancelled", "sent to the wrong agency"):
        assert word in shown.stdout
    (story,) = lines(command("trace", MESSAGE, "--json"))
    assert [(each["recipient"], each["state"]) for each in story["deliveries"]] == [
        ("H23", "cancelled"),
        ("H31", "queued"),
    ]
    events = [step["event"] for step in story["steps"]]
    assert (events[0], sorted(events[1:])) == ("accepted", ["ContentConsignmentFailure", "delivery.cancelled"])
    assert refusal(command("trace", "G22,2026/11/20,0/VPCP")).code == "message-unknown"
