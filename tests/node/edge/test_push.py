"""Push from end to end: a real hub, a real node that listens, documents that nobody fetches."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from congvan.demo.programs import free_port
from node.http.push import PushIntake
from tests.node.edge.conftest import Ran
from tests.node.edge.site import EnrolledNode, Hub, served_node, until
from tests.node.edge.test_sending import FACTS
from transport.client import HubClient
from transport.wire import MailboxAnswer

_SETTINGS = "CONGVAN_NODE__NODE__PUSH"


class Traffic:
    """What goes between the recipient's node and the hub: polls, and pushes taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.polls: list[HubClient] = []
        self.pushes = 0
        mailbox, take = HubClient.mailbox, PushIntake.take

        async def noting_mailbox(client: HubClient, **options: Any) -> MailboxAnswer:
            self.polls.append(client)
            return await mailbox(client, **options)

        async def noting_take(intake: PushIntake, request: web.Request) -> web.Response:
            answer = await take(intake, request)
            self.pushes += 1
            return answer

        monkeypatch.setattr(HubClient, "mailbox", noting_mailbox)
        monkeypatch.setattr(PushIntake, "take", noting_take)


def test_documents_come_by_push_and_by_polls_again_when_pushes_end(
    hub: Hub,
    new_node: Callable[..., EnrolledNode],
    congvan: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """While the hub pushes, the node does not poll and gets its mail; when pushes cease, it polls and gets it too."""
    sender, recipient = new_node("Văn phòng Chính phủ"), new_node("UBND tỉnh Hải Dương")
    (tmp_path / "thu.pdf").write_bytes(b"%PDF-1.4" + bytes(200_000))
    port = free_port("127.0.0.1")
    for key, value in {"LISTEN": f"127.0.0.1:{port}", "TRUST_SECONDS": "12", "POLL_SECONDS": "600"}.items():
        monkeypatch.setenv(f"{_SETTINGS}__{key}", value)
    monkeypatch.setenv("CONGVAN_NODE__EXCHANGE__RECEIVER__WAIT", "0.1")
    traffic = Traffic(monkeypatch)

    def send() -> Path:
        ran = congvan(
            "node", "send", tmp_path / "thu.pdf", "--to", recipient.code, *FACTS, "--dir", sender.root, "--json"
        )
        assert ran.status == 0, ran.err
        return recipient.root / "filedrop" / "in" / f"{json.loads(ran.out)['message_id']}-{recipient.code}"

    with served_node(recipient.root):
        until(lambda: traffic.polls)
        polling = traffic.polls[0]
        monkeypatch.delenv(f"{_SETTINGS}__LISTEN")
        with served_node(sender.root):
            ran = congvan(
                "hub", "connection", "push", recipient.code, f"https://127.0.0.1:{port}", "--dir", hub.folder.root
            )
            assert ran.status == 0, ran.err
            until(lambda: traffic.pushes)
            polls = until(lambda: _settled(traffic, polling))
            pushed_folder = send()
            until((pushed_folder / "document.edxml").exists)
            assert (pushed_folder / "attachments" / "thu.pdf").stat().st_size > 200_000
            assert traffic.polls.count(polling) == polls
            assert traffic.pushes >= 2

            ran = congvan("hub", "connection", "push", recipient.code, "--off", "--dir", hub.folder.root)
            assert ran.status == 0, ran.err
            until(lambda: traffic.polls.count(polling) > polls)
            until((send() / "document.edxml").exists)
    shown = json.loads(congvan("hub", "connection", "show", recipient.code, "--dir", hub.folder.root, "--json").out)
    assert shown["push"] is None
    assert [entry["action"] for entry in shown["history"]][:2] == ["connection.push-off", "connection.push"]
    assert shown["fetched_at"] is not None


def _settled(traffic: Traffic, client: HubClient) -> int | None:
    """How often the node has polled, once that has not changed for half a second."""
    before = traffic.polls.count(client)
    time.sleep(0.5)
    return before if traffic.polls.count(client) == before else None
