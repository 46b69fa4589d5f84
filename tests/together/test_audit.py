"""`congvan audit`: a hub and its nodes, each audited and then compared, with what is on its way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from congvan.cli import app
from schemas.auditing import FindingCode
from tests.together.by_hand import by_hand
from tests.together.conftest import Exchanged

ALL = ("hub", "g22", "h23", "h31")


def _audit(folder: Path, names: Sequence[str] = ALL) -> tuple[int, dict[str, Any]]:
    """The exit status of the command and what it printed."""
    result = CliRunner().invoke(app, ["audit", *(str(folder / name) for name in names), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout)


def _forget(folder: Path, name: str, message_id: str) -> None:
    """Delete a message with all that belongs to it, as if it had never been here."""
    if name == "hub":
        tables = (
            "mailbox_entries",
            "deliveries",
            "message_blobs",
            "envelopes",
            "receipts",
            "messages_about",
            "messages",
        )
        where = f"WHERE message IN (SELECT message FROM messages WHERE message_id = '{message_id}')"
        by_hand(folder / "hub/data/hub.db", *(f"DELETE FROM {table} {where}" for table in tables))
        return
    tables = (
        "outbox_recipients", "outbox", "handovers", "inbox", "attachments", "envelopes", "receipts", "messages",
    )  # fmt: skip
    by_hand(
        folder / name / "data/node.db", *(f"DELETE FROM {table} WHERE message_id = '{message_id}'" for table in tables)
    )


def test_what_is_whole_is_clean_and_what_waits_is_on_its_way(folder: Path, exchanged: Exchanged) -> None:
    """A document that the recipient has not fetched is no loss: it is listed with its stage and since when."""
    status, found = _audit(folder)
    assert (status, found["clean"]) == (0, True)
    assert [side["findings"] for side in (found["hub"], *found["nodes"].values())] == [[], [], [], []]
    assert found["findings"] == []
    (waiting,) = found["in_flight"]
    assert (waiting["stage"], waiting["message"], waiting["agency"]) == ("accepted", exchanged.id_of("waiting"), "H23")
    assert waiting["since"].endswith("Z")
    assert found["not_checked"] == []


def test_a_side_that_was_not_given_is_named(folder: Path) -> None:
    """Nothing is said of a database that nobody looked at, but that."""
    status, found = _audit(folder, ("hub", "g22"))
    assert (status, found["not_checked"]) == (0, ["the node h23", "the node h31"])
    _, found = _audit(folder, ("g22",))
    assert found["not_checked"] == ["the hub"]


@pytest.mark.parametrize(
    ("name", "key", "code"),
    [
        ("hub", "circular", FindingCode.HUB_LACKS_MESSAGE),
        ("g22", "circular", FindingCode.SENDER_LACKS_MESSAGE),
        ("h31", "circular", FindingCode.RECIPIENT_LACKS_MESSAGE),
    ],
)
def test_a_message_that_one_side_has_lost_is_known_by_the_others(
    folder: Path, exchanged: Exchanged, name: str, key: str, code: FindingCode
) -> None:
    """What a side does not know any more, another side's receipts prove."""
    _forget(folder, name, exchanged.id_of(key))
    status, found = _audit(folder)
    assert status == 1
    assert exchanged.id_of(key) in {each["message"] for each in found["findings"] if each["code"] == code}


@pytest.mark.parametrize(
    ("database", "event"),
    [
        ("hub/data/hub.db", "ContentHandover"),
        ("g22/data/node.db", "ContentHandover"),
        ("h31/data/node.db", "ContentConsignment"),
    ],
)
def test_a_receipt_that_one_side_has_lost_is_known_by_the_others(
    folder: Path, exchanged: Exchanged, database: str, event: str
) -> None:
    """Each receipt is at the party that issued it, at the hub, and at the sender."""
    number = f"(SELECT message FROM messages WHERE message_id = '{exchanged.id_of('circular')}')"
    of_circular = (
        f"message = {number}" if database.startswith("hub") else f"message_id = '{exchanged.id_of('circular')}'"
    )
    by_hand(folder / database, f"DELETE FROM receipts WHERE {of_circular} AND event = '{event}' AND recipient = 'H31'")
    status, found = _audit(folder)
    assert status == 1
    lost = [each for each in found["findings"] if each["code"] == FindingCode.RECEIPT_LOST]
    assert {(each["message"], each["agency"], each["element"]) for each in lost} == {
        (exchanged.id_of("circular"), "H31", event)
    }


def test_two_hand_overs_of_one_delivery_are_named(folder: Path, exchanged: Exchanged) -> None:
    """What two receipts attest of one delivery was done twice."""
    message_id = exchanged.id_of("circular")
    by_hand(
        folder / "h31/data/node.db",
        f"UPDATE receipts SET body = body || x'20' WHERE message_id = '{message_id}' AND event = 'ContentHandover'",
    )
    status, found = _audit(folder)
    assert status == 1
    assert (FindingCode.HANDED_OVER_TWICE, "H31") in {(each["code"], each["agency"]) for each in found["findings"]}


def test_other_bytes_under_one_id_are_named(folder: Path, exchanged: Exchanged) -> None:
    """All sides keep the very bytes that were signed."""
    message_id = exchanged.id_of("circular")
    by_hand(
        folder / "h23/data/node.db",
        f"UPDATE envelopes SET sealed = sealed || x'0A' WHERE message_id = '{message_id}'",
    )
    status, found = _audit(folder)
    assert status == 1
    assert FindingCode.BYTES_DIFFER in {each["code"] for each in found["findings"]}


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("postgresql://congvan@db.example/hub", "audit-authority"),
        ("mysql://congvan@db.example/hub", "audit-address"),
        ("/nowhere", "audit-source"),
    ],
)
def test_what_cannot_be_audited_is_refused_with_the_mend(place: str, code: str) -> None:
    """An address without an authority, one of another kind of server, a path that holds nothing: each is said."""
    result = CliRunner().invoke(app, ["audit", place])
    assert result.exit_code == 1
    assert getattr(result.exception, "code", None) == code


def test_people_are_shown_the_same(folder: Path) -> None:
    """Without --json the sides, what is on its way and the verdict stand in plain words."""
    result = CliRunner().invoke(app, ["audit", *(str(folder / name) for name in ALL)])
    assert result.exit_code == 0
    for words in ("the hub hub.example.test", "all accounted for", "On its way: 1", "not yet consigned"):
        assert words in result.stdout
    assert result.stdout.strip().endswith("Everything is accounted for.")
