"""`congvan node send` and `respond`: what people order becomes one message, or one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.classic import classic
from tests.node.edge.conftest import Ran
from tests.node.edge.site import EnrolledNode, Hub, served_node, until
from tests.schemas.samples import organ

Congvan = Callable[..., Ran]
ROOT = Path(__file__).parents[3]
FACTS = ("--number", "6101/VPCP-KSTT", "--subject", "V/v báo cáo")


@pytest.fixture
def node(new_node: Callable[..., EnrolledNode]) -> EnrolledNode:
    return new_node("Văn phòng Chính phủ")


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    path = tmp_path / "thư mời.pdf"
    path.write_bytes(b"%PDF-1.4")
    return path


def outbox(congvan: Congvan, node: EnrolledNode) -> list[dict[str, Any]]:
    ran = congvan("node", "outbox", "--dir", node.root, "--json")
    assert ran.status == 0, ran.err
    rows: list[dict[str, Any]] = json.loads(ran.out)
    return rows


def story(congvan: Congvan, node: EnrolledNode, message: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(congvan("node", "show", message, "--dir", node.root, "--json").out)
    return found


def test_a_file_and_a_few_options_make_a_document(congvan: Congvan, node: EnrolledNode, letter: Path) -> None:
    """The outbox holds it, the message id and the key are told, and that nobody sends it while no daemon runs."""
    ran = congvan("node", "send", letter, "--to", node.code, *FACTS, "--dir", node.root)
    assert ran.status == 0, ran.err
    (row,) = outbox(congvan, node)
    assert row["message_id"] in ran.out
    assert row["key"] in ran.out
    assert "No daemon is running" in ran.out
    assert (row["subject"], row["state"]) == ("V/v báo cáo", "ready")
    (attachment,) = story(congvan, node, row["message_id"])["attachments"]
    assert (attachment["name"], attachment["content_type"], attachment["size"]) == ("thư mời.pdf", "application/pdf", 8)


def test_options_stand_above_the_metadata_file(
    congvan: Congvan, node: EnrolledNode, letter: Path, tmp_path: Path
) -> None:
    """A metadata file gives what the options do not; where both speak, the option counts."""
    meta = tmp_path / "meta.toml"
    meta.write_text(
        f'subject = "Từ tệp"\ncode = "7/VPCP"\nplace = "Hà Nội"\nsigner = "Nguyễn Thị Lan"\nto = ["{node.code}"]\n'
        'priority = "hỏa tốc"\n'
    )
    ran = congvan("node", "send", letter, "--meta", meta, "--subject", "Từ lệnh", "--dir", node.root)
    assert ran.status == 0, ran.err
    (row,) = outbox(congvan, node)
    assert (row["subject"], row["priority"]) == ("Từ lệnh", 3)
    assert row["document_id"].endswith(",7/VPCP")


def test_a_document_may_say_how_long_it_is_wanted(congvan: Congvan, node: EnrolledNode, letter: Path) -> None:
    """`--expires 2h` is taken; a text that is no expiry, and one that is over, are refused by their rules."""
    ordered = ("node", "send", letter, "--to", node.code, *FACTS, "--dir", node.root, "--expires")
    assert congvan(*ordered, "2h").status == 0
    for expiry, rule in (("soon", "metadata-invalid"), ("2020-01-01T08:00:00+07:00", "already-expired")):
        ran = congvan(*ordered, expiry)
        assert ran.status == 1
        assert rule in ran.err
    assert len(outbox(congvan, node)) == 1


def test_recipients_may_follow_one_another(
    congvan: Congvan, new_node: Callable[..., EnrolledNode], letter: Path
) -> None:
    """`--to A B`, `--to A,B` and `--to A --to B` all name two recipients."""
    other, node = new_node(), new_node()
    for words in ((node.code, other.code), (f"{node.code},{other.code}",), (node.code, "--to", other.code)):
        ran = congvan("node", "send", letter, "--to", *words, *FACTS, "--dir", node.root, "--json")
        assert ran.status == 0, ran.err
        assert json.loads(ran.out)["to"] == [node.code, other.code]
    ran = congvan("node", "send", letter, "--to", f"{node.code},", *FACTS, "--dir", node.root)
    assert (ran.status, "option-missing" in ran.err) == (1, True)


def test_a_classic_file_is_sent_as_it_says(congvan: Congvan, hub: Hub, node: EnrolledNode, tmp_path: Path) -> None:
    """A single .edxml file brings its own sender, recipients and attachments; options beside it are refused."""
    path = tmp_path / "6111.edxml"
    path.write_bytes(classic({"6111.pdf": b"%PDF"}, sender=organ(node.code), recipients=(organ(node.code),)))
    assert "rule: option-unused" in congvan("node", "send", path, "--to", node.code, "--dir", node.root).err
    ran = congvan("node", "send", path, "--dir", node.root, "--json")
    assert ran.status == 0, ran.err
    sent = json.loads(ran.out)
    assert (sent["from"], sent["to"]) == (node.code, [node.code])
    (attachment,) = story(congvan, node, sent["message_id"])["attachments"]
    assert attachment["name"] == "6111.pdf"


def test_a_key_given_in_two_processes_at_once_makes_one_message(
    congvan: Congvan, node: EnrolledNode, letter: Path
) -> None:
    """Two commands that start together under one key answer with the same message; one says that it was there."""
    command = [
        sys.executable, "-m", "congvan", "node", "send", str(letter), "--to", node.code, *FACTS,
        "--key", "2026-6101", "--dir", str(node.root), "--json",
    ]  # fmt: skip
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    answers = [json.loads(process.communicate()[0]) for process in running]
    assert answers[0]["message_id"] == answers[1]["message_id"]
    assert sorted(answer["repeated"] for answer in answers) == [False, True]
    assert len(outbox(congvan, node)) == 1


@pytest.mark.parametrize("change", ["subject", "bytes", "name", "recipient"])
def test_a_key_with_other_content_is_a_conflict(
    congvan: Congvan, new_node: Callable[..., EnrolledNode], letter: Path, change: str
) -> None:
    """What was ordered under a key before is repeated exactly, or refused: in words, bytes, file names, recipients."""
    node = new_node()
    other = new_node() if change == "recipient" else node
    first = congvan("node", "send", letter, "--to", node.code, *FACTS, "--key", "k", "--dir", node.root)
    assert first.status == 0, first.err
    facts = (*FACTS[:3], "Khác") if change == "subject" else FACTS
    if change == "bytes":
        letter.write_bytes(b"%PDF-1.5")
    if change == "name":
        letter = letter.rename(letter.with_name("giấy mời.pdf"))
    ran = congvan("node", "send", letter, "--to", other.code, *facts, "--key", "k", "--dir", node.root)
    assert ran.status == 1
    assert "rule: key-conflict" in ran.err
    assert len(outbox(congvan, node)) == 1


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("missing.pdf", "--to", "{code}", *FACTS), "file-missing"),
        (("{folder}", "--to", "{code}", *FACTS), "file-kind"),
        (("{file}", *FACTS), "option-missing"),
        (("{file}", "--to", "{code}", "--number", "6101/VPCP"), "option-missing"),
        (("{file}", "--to", "{code}", "--subject", "x"), "option-missing"),
        (("{file}", "--to", "{code}", "--subject", "x", "--number", "6101"), "option-missing"),
        (("{file}", "--to", "{code}", "--subject", "x", "--notation", "VPCP"), "option-missing"),
        (("{file}", "--to", "h23", *FACTS), "malformed-code"),
        (("{file}", "--to", "H23.9999", *FACTS), "recipient-unknown"),
        (("{file}", "--to", "{code}", *FACTS, "--from", "H23.9999"), "sender-not-served"),
        (("{file}", "--to", "{code}", *FACTS, "--priority", "fast"), "metadata-invalid"),
        (("{file}", "--to", "{code}", *FACTS, "--due", "2026-02-30"), "metadata-invalid"),
        (("{file}", "--to", "{code}", *FACTS, "--secrecy", "mat"), "state-secret"),
        (("{file}", "--to", "{code}", *FACTS, "--meta", "{file}"), "metadata-syntax"),
        (("{file}", "--to", "{code}", *FACTS, "--meta", "missing.toml"), "file-missing"),
        (("{file}", "--to", "{code}", *FACTS, "--wait"), "node-not-running"),
    ],
)
def test_what_cannot_be_sent_is_said_in_one_sentence(
    congvan: Congvan, standing_node: EnrolledNode, letter: Path, words: tuple[str, ...], rule: str
) -> None:
    """Every mistake on the command line ends with status 1 and one line that names the rule, never a traceback."""
    node, before = standing_node, len(outbox(congvan, standing_node))
    shown = [word.format(code=node.code, file=letter, folder=letter.parent) for word in words]
    ran = congvan("node", "send", *shown, "--dir", node.root)
    assert ran.status == 1
    assert f"rule: {rule}" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert len(outbox(congvan, node)) == before + (rule == "node-not-running")


def test_a_node_of_several_agencies_needs_from(
    congvan: Congvan, hub: Hub, new_node: Callable[..., EnrolledNode], letter: Path
) -> None:
    """Where a node serves several agencies, --from says which one sends; without it the codes are named."""
    first = new_node()
    second = f"{first.code}.1"
    hub.admit(second, "Đơn vị trực thuộc", served_by=first.code)
    # The copy of the directory here is older: the daemon fetches the version that names the second agency.
    with served_node(first.root):
        until(lambda: second in congvan("node", "status", "--dir", first.root, "--json").out)
    ran = congvan("node", "send", letter, "--to", first.code, *FACTS, "--dir", first.root)
    assert "rule: sender-ambiguous" in ran.err
    assert f"{first.code}, {second}" in ran.err
    ran = congvan("node", "send", letter, "--to", first.code, *FACTS, "--from", second, "--dir", first.root, "--json")
    assert json.loads(ran.out)["from"] == second


def test_a_marked_document_is_sent_only_when_somebody_answers_for_it(
    congvan: Congvan, node: EnrolledNode, letter: Path
) -> None:
    """A mark of secrecy in the subject is refused; with a name and a reason it is sent, and both are shown."""
    order = ("send", letter, "--to", node.code, "--number", "1/KH", "--subject", "Kế hoạch MẬT", "--dir", node.root)
    refused = congvan("node", *order)
    assert refused.status == 1
    assert "secrecy-mark" in refused.err
    half = congvan("node", *order, "--override", "Đã giải mật")
    assert half.status == 1
    assert "--override-by" in half.err
    ran = congvan("node", *order, "--override", "Đã giải mật", "--override-by", "Trần Văn B", "--json")
    assert ran.status == 0, ran.err
    message = json.loads(ran.out)["message_id"]
    assert story(congvan, node, message)["outbox"]["override"] == {"by": "Trần Văn B", "reason": "Đã giải mật"}
    shown = congvan("node", "show", message, "--dir", node.root).out
    assert "Override: Trần Văn B" in shown
    assert "secrecy passed" in shown
    traced = congvan("node", "trace", message, "--dir", node.root).out
    assert "guard.overridden" in traced
    assert "Đã giải mật" in traced
