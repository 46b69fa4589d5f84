"""`congvan node serve`: documents come and go, through hubs that are away and ends that are asked for."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.filedrop import Filedrop
from adapters.sdk import Delivery, Never, Outcome
from node.app import serve
from node.settings import NodeFolder
from schemas.errors import Rejected, Unavailable
from tests.node.edge.conftest import Ran
from tests.node.edge.site import PATIENCE, EnrolledNode, served_node, until
from tests.node.edge.test_sending import FACTS, story

Congvan = Callable[..., Ran]


def test_a_document_goes_and_its_answers_come_back(
    congvan: Congvan, exchange: tuple[EnrolledNode, EnrolledNode], tmp_path: Path
) -> None:
    """Sent with --wait it has arrived in the other node's in/; the answer 03 reaches the sender's own record."""
    sender, recipient = exchange
    (tmp_path / "thu.pdf").write_bytes(b"%PDF-1.4")
    ran = congvan(
        "node", "send", tmp_path / "thu.pdf", "--to", recipient.code, *FACTS, "--dir", sender.root, "--wait", "--json"
    )
    assert ran.status == 0, ran.err
    sent = json.loads(ran.out)
    assert sent["recipients"][0]["delivery"] in ("consigned", "handed-over")
    message = sent["message_id"]
    folder = recipient.root / "filedrop" / "in" / f"{message}-{recipient.code}"
    until(folder.is_dir)
    assert (folder / "attachments" / "thu.pdf").read_bytes() == b"%PDF-1.4"

    ran = congvan(
        "node", "respond", message[:8], "--status", "accepted", "--note", "Đã vào sổ", "--dir", recipient.root
    )
    assert ran.status == 0, ran.err
    row = until(
        lambda: next(
            (one for one in story(congvan, sender, message)["outbox"]["recipients"] if one["status"] == "03"), None
        )
    )
    assert row["status_text"] == "Đã vào sổ"
    (shown,) = json.loads(congvan("node", "inbox", "--dir", recipient.root, "--json").out)
    assert (shown["message_id"], shown["handovers"][0]["state"]) == (message, "handed-over")

    traced = json.loads(congvan("node", "trace", message[:8], "--hub", "--dir", sender.root, "--json").out)
    events = [event["event"] for event in traced["events"]]
    assert events[:2] == ["guard.passed", "message.submitted"]
    assert {"receipt.ContentConsignment", "receipt.ContentHandover", "status.03"} <= set(events)
    assert [(each["recipient"], each["state"]) for each in traced["hub"]["deliveries"]] == [
        (recipient.code, "delivered")
    ]
    for ran in (congvan("node", "trace", message, "--hub", "--dir", side.root) for side in exchange):
        assert "message.accepted" in ran.out or "message.submitted" in ran.out
        assert "delivered" in ran.out


def test_a_trace_says_what_it_knows_while_the_hub_is_away(
    congvan: Congvan, new_node: Callable[..., EnrolledNode], tmp_path: Path
) -> None:
    """A hub that does not know the message, or cannot be asked, leaves the node's own story; the exit says so."""
    node = new_node("Sở Tư pháp")
    (tmp_path / "thu.pdf").write_bytes(b"%PDF-1.4")
    sent = json.loads(
        congvan("node", "send", tmp_path / "thu.pdf", "--to", node.code, *FACTS, "--dir", node.root, "--json").out
    )
    ran = congvan("node", "trace", sent["message_id"], "--hub", "--dir", node.root, "--json")
    traced = json.loads(ran.out)
    assert (ran.status, traced["hub"]) == (1, None)
    assert "message-unknown" in traced["hub_trouble"]
    assert [event["event"] for event in traced["events"]] == ["guard.passed", "message.submitted"]
    assert congvan("node", "trace", sent["message_id"], "--dir", node.root).status == 0


def test_what_is_dropped_into_out_arrives(exchange: tuple[EnrolledNode, EnrolledNode]) -> None:
    """A folder in one node's out/ becomes a folder in the other's in/; the note beside it names the message."""
    sender, recipient = exchange
    item = sender.root / "filedrop" / "out" / "cong-van"
    item.mkdir()
    (item / "thu.pdf").write_bytes(b"%PDF-1.4")
    (item / "meta.toml").write_text(
        f'subject = "V/v"\ncode = "1/VPCP"\nplace = "Hà Nội"\nsigner = "A"\nto = ["{recipient.code}"]\n'
    )
    (note,) = until(lambda: list((sender.root / "filedrop" / "sent").glob("*/cong-van.receipt.json")))
    message = json.loads(note.read_text())["message_id"]
    until((recipient.root / "filedrop" / "in" / f"{message}-{recipient.code}" / "document.edxml").exists)


def test_a_parked_message_is_shown_with_its_reason_and_driven_again(
    congvan: Congvan, exchange: tuple[EnrolledNode, EnrolledNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an adapter can never take is parked and says why; `node retry` hands it over once that is mended."""
    sender, recipient = exchange
    (tmp_path / "thu.pdf").write_bytes(b"%PDF-1.4")

    async def never(_adapter: Filedrop, _delivery: Delivery) -> Outcome:
        return Never("Sổ văn bản đến đã khóa.")

    with monkeypatch.context() as locked:
        locked.setattr(Filedrop, "deliver", never)
        ran = congvan(
            "node", "send", tmp_path / "thu.pdf", "--to", recipient.code, *FACTS, "--dir", sender.root, "--json"
        )
        message = json.loads(ran.out)["message_id"]
        until(lambda: "parked" in congvan("node", "inbox", "--dir", recipient.root).out)
    assert "Sổ văn bản đến đã khóa." in congvan("node", "show", message, "--dir", recipient.root).out
    assert congvan("node", "retry", message[:8], "--dir", recipient.root).out == "It is tried once more.\n"
    until((recipient.root / "filedrop" / "in" / f"{message}-{recipient.code}").is_dir)
    assert congvan("node", "retry", message[:8], "--dir", recipient.root).out == "Nothing of it is parked.\n"


def test_a_node_works_while_its_hub_is_away(
    congvan: Congvan, new_node: Callable[..., EnrolledNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started without a hub a node takes documents, says what it waits for, is ready; the hub back, all goes."""
    node = new_node()
    (tmp_path / "thu.pdf").write_bytes(b"%PDF-1.4")
    with monkeypatch.context() as away:
        away.setenv("CONGVAN_NODE__HUB__CONNECT_TO", "127.0.0.99")
        with served_node(node.root):
            ran = congvan("node", "send", tmp_path / "thu.pdf", "--to", node.code, *FACTS, "--dir", node.root, "--json")
            message = json.loads(ran.out)["message_id"]
            status = until(lambda: _silent(congvan, node))
            assert status["contact"]["trouble"]["code"] == "hub-unreachable"
            assert status["daemon_running"] is True
            assert message[:12] in congvan("node", "outbox", "--waiting", "--dir", node.root).out
    with served_node(node.root):
        until(lambda: story(congvan, node, message)["outbox"]["accepted_at"])


def _silent(congvan: Congvan, node: EnrolledNode) -> dict[str, Any] | None:
    status: dict[str, Any] = json.loads(congvan("node", "status", "--dir", node.root, "--json").out)
    return status if status["contact"]["unreachable_since"] else None


def test_health_tells_each_part_and_metrics_count(
    new_node: Callable[..., EnrolledNode], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On its own listener a node says that it lives, whether it is ready and why not, and what it holds."""
    node = new_node()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("CONGVAN_NODE__NODE__OPERATIONS__LISTEN", f"127.0.0.1:{port}")
    monkeypatch.setenv("CONGVAN_NODE__HUB__CONNECT_TO", "127.0.0.99")
    with served_node(node.root):
        until(lambda: _get(port, "/healthz")[0] == 200)
        parts = until(lambda: _parts(port, "hub"))
        assert "unreachable" in parts["hub"].lower()
        assert {name for name, fault in parts.items() if fault} == {"hub"}
        assert _get(port, "/readyz")[0] == 200
        metrics = _get(port, "/metrics")[1]
        assert "congvan_node_hub_reachable 0.0" in metrics
        assert 'congvan_node_certificate_expiry_timestamp_seconds{certificate="seal"}' in metrics


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def _parts(port: int, faulty: str) -> dict[str, str] | None:
    parts = {part["part"]: part["fault"] for part in json.loads(_get(port, "/readyz")[1])["parts"]}
    return parts if parts[faulty] else None


def test_one_folder_has_one_daemon(congvan: Congvan, new_node: Callable[..., EnrolledNode]) -> None:
    """A second daemon over the same folder is refused at once."""
    node = new_node()
    with served_node(node.root), pytest.raises(Unavailable) as error:
        asyncio.run(serve(NodeFolder(node.root), asyncio.Event()))
    assert error.value.code == "node-running"


def test_another_nodes_database_is_refused(congvan: Congvan, new_node: Callable[..., EnrolledNode]) -> None:
    """Two nodes that were given one database do not mix their records: daemon and command say whose it is."""
    own, other = new_node(), new_node()
    shutil.copy(other.root / "data" / "node.db", own.root / "data" / "node.db")
    for order in (("serve",), ("outbox",)):
        ran = congvan("node", *order, "--dir", own.root)
        assert ran.status != 0
        assert "database-taken" in ran.err
        assert f"the node {other.code}" in ran.err


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ("[adapters.elsewhere]\n", "adapter-unknown"),
        ("[adapters.command]\n", "settings-invalid"),
        ('[adapters.archive]\nadapter = "filedrop"\n', "adapters-overlap"),
        ('[adapters.archive]\nadapter = "filedrop"\ncodes = ["h23"]\n', "settings-invalid"),
        ('[adapters.archive]\nadapter = "filedrop"\ncodes = ["H23"]\npoll = 1\n', "settings-invalid"),
    ],
)
def test_adapters_that_cannot_run_stop_the_start_by_name(
    new_node: Callable[..., EnrolledNode], table: str, rule: str
) -> None:
    """A wrong table of an adapter is named before anything is served."""
    node = new_node()
    with (node.root / "congvan.toml").open("a") as settings:
        settings.write(f"\n{table}")
    with pytest.raises(Rejected) as error:
        asyncio.run(serve(NodeFolder(node.root), asyncio.Event()))
    assert error.value.code == rule


def test_an_adapter_in_a_process_of_its_own_takes_and_sends_documents(
    new_node: Callable[..., EnrolledNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `process = true` filedrop does in a child what it does inside the node; the metrics count its calls."""
    node = new_node("Sở Tư pháp")
    settings = node.root / "congvan.toml"
    table = "[adapters.filedrop]\n"
    assert table in settings.read_text()
    settings.write_text(settings.read_text().replace(table, table + "process = true\nsettle_seconds = 0.1\n"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("CONGVAN_NODE__NODE__OPERATIONS__LISTEN", f"127.0.0.1:{port}")
    drop = node.root / "filedrop"
    with served_node(node.root):
        until((drop / "out").is_dir)
        item = drop / "out" / "first"
        item.mkdir()
        (item / "thu.pdf").write_bytes(b"%PDF-1.4")
        facts = 'subject = "Báo cáo"\ncode = "12/BC"\nplace = "Hải Dương"\nsigner = "Nguyễn Văn Mẫu"\n'
        (item / "meta.toml").write_text(f'{facts}to = ["{node.code}"]\n')
        (taken,) = until(lambda: list((drop / "in").glob("[!.]*/attachments/thu.pdf")))
        assert taken.read_bytes() == b"%PDF-1.4"
        counted = 'congvan_node_adapter_deliveries_total{adapter="filedrop",outcome="accepted"}'
        until(lambda: counted in _get(port, "/metrics")[1])
        metrics = _get(port, "/metrics")[1]
        assert 'congvan_node_adapter_up{adapter="filedrop"} 1.0' in metrics
        assert 'congvan_node_part_up{part="adapter-filedrop"} 1.0' in metrics
        assert 'congvan_node_guard_verdicts_total{guard="secrecy",verdict="passed",way="outgoing"} 1.0' in metrics
