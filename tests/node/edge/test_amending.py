"""`congvan node recall`, `update`, `replace`, `inbox --due`: a document's whole life through a real hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.node.edge.conftest import Ran
from tests.node.edge.site import EnrolledNode, until
from tests.node.edge.test_sending import FACTS, story

Congvan = Callable[..., Ran]


def test_a_document_is_updated_and_recalled(
    congvan: Congvan, exchange: tuple[EnrolledNode, EnrolledNode], tmp_path: Path
) -> None:
    """Sent with a deadline, accepted, updated, agreed to; recalled, agreed to: both sides show where it stands."""
    sender, recipient = exchange
    (tmp_path / "thu.pdf").write_bytes(b"%PDF-1.4")

    def at(node: EnrolledNode, *words: object) -> Any:
        ran = congvan("node", *words, "--dir", node.root, "--json")
        assert ran.status == 0, ran.err
        return json.loads(ran.out)

    def row(message: str) -> dict[str, Any]:
        (one,) = story(congvan, sender, message)["outbox"]["recipients"]
        return dict(one)

    sent = at(sender, "send", tmp_path / "thu.pdf", "--to", recipient.code, *FACTS, "--due", "2026-12-01")["message_id"]
    until(lambda: any(one["message_id"] == sent for one in at(recipient, "inbox")))
    at(recipient, "respond", sent, "--status", "03")
    until(lambda: row(sent)["standing"] == "accepted")
    (due,) = at(recipient, "inbox", "--due")
    assert (due["message_id"], due["deadline"]["due_at"], due["status"]) == (sent, "2026-12-01T16:59:59Z", "03")

    late = congvan("node", "respond", sent, "--status", "15", "--dir", recipient.root)
    assert late.status == 1
    assert "status-transition" in late.err

    update = at(sender, "update", sent, "--reason", "Gia hạn", "--due", "2026-12-31")["message_id"]
    until(lambda: any(one["message_id"] == update for one in at(recipient, "inbox")))
    at(recipient, "respond", update, "--status", "15")
    until(lambda: row(update)["standing"] == "agreed")
    assert [one["state"] for one in row(sent)["requests"]] == ["agreed"]
    (due,) = at(recipient, "inbox", "--due")
    assert due["deadline"]["due_at"] == "2026-12-31T16:59:59Z"
    assert sent[:12] in congvan("node", "inbox", "--due", "--dir", recipient.root).out

    recall = at(sender, "recall", sent, "--reason", "Ban hành nhầm", "--key", "thu hồi")["message_id"]
    repeated = at(sender, "recall", sent, "--reason", "Ban hành nhầm", "--key", "thu hồi")
    assert (repeated["message_id"], repeated["repeated"]) == (recall, True)
    until(lambda: any(one["message_id"] == recall for one in at(recipient, "inbox")))
    folder = recipient.root / "filedrop" / "in" / f"{recall}-{recipient.code}"
    until((folder / "summary.txt").exists)
    assert "Ban hành nhầm" in (folder / "summary.txt").read_text()
    shown = congvan("node", "show", sent, "--dir", recipient.root).out
    assert "recall (thu hồi)" in shown
    assert "not answered yet" in shown
    at(recipient, "respond", sent, "--status", "15")
    until(lambda: row(sent)["standing"] == "recalled")
    assert "recalled (đã thu hồi)" in congvan("node", "outbox", "--dir", sender.root).out
    assert congvan("node", "inbox", "--due", "--dir", recipient.root).out == "Nothing is due.\n"


def test_a_document_is_replaced(congvan: Congvan, exchange: tuple[EnrolledNode, EnrolledNode], tmp_path: Path) -> None:
    """The replacement goes to who has the document, with a number of its own, and names what it replaces."""
    sender, recipient = exchange
    for name in ("cu.pdf", "moi.pdf"):
        (tmp_path / name).write_bytes(name.encode())
    ran = congvan("node", "send", tmp_path / "cu.pdf", "--to", recipient.code, *FACTS, "--dir", sender.root, "--json")
    sent = json.loads(ran.out)["message_id"]
    ran = congvan(
        "node", "replace", sent[:12], "--file", tmp_path / "moi.pdf", "--number", "9/VPCP", "--reason", "Sửa phụ lục",
        "--dir", sender.root,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    new = ran.out.split("Message ")[1].split()[0]
    folder = recipient.root / "filedrop" / "in" / f"{new}-{recipient.code}"
    until((folder / "attachments" / "moi.pdf").exists)
    assert "THAY THẾ VĂN BẢN" in (folder / "summary.txt").read_text()
    told = story(congvan, recipient, new)["message"]
    assert (told["about"], told["document_id"].rpartition(",")[2]) == ([sent], "9/VPCP")


def test_wrong_orders_are_explained(congvan: Congvan, standing_node: EnrolledNode, tmp_path: Path) -> None:
    """An unknown document, an empty reason, a file that is not there: each ends with a rule and a mend."""
    for words, rule in (
        (("recall", "ab" * 32, "--reason", "x"), "message-unknown"),
        (("recall", "ab" * 32, "--reason", " "), "reason-missing"),
        (("update", "ab" * 32, "--reason", "x"), "nothing-to-update"),
        (("replace", "ab" * 32, "--reason", "x", "--file", tmp_path / "none.pdf"), "file-missing"),
        (("update", "ab" * 32, "--reason", "x", "--meta", tmp_path), "path-is-folder"),
        (("evidence", "ab" * 32, "--out", tmp_path), "path-is-folder"),
        (("evidence", "ab" * 32, "--out", __file__), "file-exists"),
        (("evidence", "ab" * 32, "--out", __file__, "--force"), "message-unknown"),
        (("recall", "ab" * 32, "--reason", "x", "--to", ""), "option-missing"),
        (("recall", "ab" * 32, "--reason", "x", "--to", ","), "option-missing"),
        (("recall", "ab" * 32, "--reason", "x", "--to", "H23", "--to", " "), "option-missing"),
        (("update", "ab" * 32, "--reason", "x", "--add", ""), "option-missing"),
        (("update", "ab" * 32, "--reason", "x", "--due", "2026-12-01", "--remove", "H23,"), "option-missing"),
        (("replace", "ab" * 32, "--reason", "x", "--file", __file__, "--to", ""), "option-missing"),
    ):
        ran = congvan("node", *words, "--dir", standing_node.root)
        assert (ran.status, rule in ran.err) == (1, True), ran.err
