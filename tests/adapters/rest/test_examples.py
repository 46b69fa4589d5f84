"""The worked examples of docs/adapters/rest.md, taken from the page, run against a node."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

from node.store.states import HandoverState
from tests.adapters.rest.conftest import Api
from tests.node.core.asking import handed
from tests.node.core.world import G22, H23, World, document, envelope

PAGE = Path(__file__).parents[3] / "docs" / "adapters" / "rest.md"


def example(language: str, number: int = 0) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    return str(found[number])


async def run(api: Api, command: str, folder: Path, **names: str) -> str:
    """What a shell prints that runs a command of the page."""
    environment = {**os.environ, "NODE": str(api.adapter.url).rstrip("/"), "TOKEN": api.token, **names}
    shell = await asyncio.create_subprocess_exec(
        "sh", "-ec", command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await shell.communicate()
    assert shell.returncode == 0, printed
    return printed.decode()


async def test_the_curls_of_the_page_send_a_document_update_and_recall_it(api: Api, tmp_path: Path) -> None:
    """The command of the page, run twice by a shell, sends one document; the next ones update and recall it."""
    (tmp_path / "to-trinh.pdf").write_bytes(b"%PDF-1.7")
    answers = [json.loads(await run(api, example("sh"), tmp_path)) for _ in range(2)]
    assert [answer["repeated"] for answer in answers] == [False, True]
    original = answers[0]["message_id"]
    _, sent = await api.ask("GET", f"/v1/documents/{original}")
    assert (sent["key"], sent["document_id"].rpartition(",")[2]) == ("vb-2026-6101", "6101/UBND-VP")
    await run(api, example("sh", 1), tmp_path, DOCUMENT=original)
    _, listed = await api.ask("GET", "/v1/documents")
    assert {one["business"] for one in listed["documents"]} >= {"update", "recall"}


async def test_the_loop_of_the_page_fetches_and_confirms(api: Api, keys: World) -> None:
    """The Python of the page stores what waits, with its files, and confirms it."""
    sealed = keys.sealed(envelope(document(G22, H23), b"%PDF-1.7"))
    api.hub.deliver(sealed.data, [H23], [b"%PDF-1.7"])
    stored: dict[str, tuple[Any, dict[str, bytes]]] = {}
    names = {
        "NODE": str(api.adapter.url).rstrip("/"),
        "TOKEN": api.token,
        "store": lambda key, message, files: stored.setdefault(key, (message, files)),
    }
    async with api.node.running():
        await api.waits(1)
        await asyncio.to_thread(exec, compile(example("python"), "rest.md", "exec"), names)
        await handed(api.node, sealed.message_id, HandoverState.HANDED_OVER)
    [(key, (message, files))] = stored.items()
    assert key == f"{sealed.message_id}/H23"
    assert message["message"]["subject"] == "V/v báo cáo kết quả gửi, nhận văn bản điện tử"
    assert files == {"tài liệu 1.pdf": b"%PDF-1.7"}
