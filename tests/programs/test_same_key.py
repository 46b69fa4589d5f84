"""One key, one message: however many processes give it, and however often."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from congvan.demo.programs import COMMAND
from tests.programs import exchange


async def send(site: exchange.Site, letter: Path, subject: str) -> tuple[int, dict[str, object], str]:
    """`congvan node send --key 2026-1`; gives its exit status, its JSON answer if it succeeded, its complaint."""
    options = ("--to", "H23", "--number", "1/TEST", "--subject", subject, "--key", "2026-1", "--json")
    sending = await asyncio.create_subprocess_exec(
        *COMMAND, "node", "send", str(letter), *options, "--dir", str(site.node_folder("G22")),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, complaint = await sending.communicate()
    return sending.returncode or 0, json.loads(output) if output else {}, complaint.decode()


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_one_key_in_processes_at_once_is_one_message(tmp_path: Path) -> None:
    """The same `node send --key` in several processes at once gives one message; other content under it, a conflict."""
    site = exchange.site(tmp_path)
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(b"%PDF-")
    await site.set_up()
    try:
        sent = await asyncio.gather(*(send(site, letter, "Văn bản số 0") for _ in range(4)))
        assert [status for status, _, _ in sent] == [0] * 4
        assert len({answer["message_id"] for _, answer, _ in sent}) == 1
        assert sorted(bool(answer["repeated"]) for _, answer, _ in sent) == [False, True, True, True]
        status, _, complaint = await send(site, letter, "Văn bản khác")
        assert status == 1
        assert "key-conflict" in complaint
        assert "Traceback" not in complaint
        await site.start_nodes()
        await exchange.settled(site, 1)
        assert await exchange.subjects(site, "H23") == ["Văn bản số 0"]
    finally:
        await site.stop()
