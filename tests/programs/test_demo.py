"""`congvan demo`: what it prints for machines, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from congvan.demo.programs import COMMAND
from tests.adapters.classic import classic
from tests.adapters.vxp.client import SdkClient

COUNTS = ("accepted", "delivered", "refused", "expired", "cancelled", "pending")


def running_in(folder: str) -> list[str]:
    """The command lines of processes that name `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode(errors="replace").replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if folder in words:
            found.append(words)
    return found


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_one_event_a_line_and_the_balance_last() -> None:
    """With --once --json each line is an event; the story is complete, and the last line is the balance."""
    demo = await asyncio.create_subprocess_exec(*COMMAND, "demo", "--once", "--json", stdout=asyncio.subprocess.PIPE)
    output, _ = await demo.communicate()
    assert demo.returncode == 0
    events = [json.loads(line) for line in output.splitlines()]
    names = [event["event"] for event in events]
    summary = events[-1]
    assert summary["event"] == "demo.summary"
    assert summary["accepted"] == sum(summary[name] for name in COUNTS[1:]) == summary["delivered"] == 5
    assert (summary["refused"], summary["expired"], summary["pending"]) == (0, 0, 0)
    assert summary["seconds"] > 0
    told = [(event["agency"], event["event"], event["code"]) for event in events if "message_id" in event]
    for step in (
        ("G22", "message.submitted", "G22"),
        ("G22", "receipt.SubmissionAcceptance", None),
        ("H23", "message.arrived", "H23"),
        ("H31", "message.arrived", "H31"),
        ("G22", "receipt.ContentConsignment", "H23"),
        ("G22", "receipt.ContentConsignment", "H31"),
        ("G22", "receipt.ContentHandover", "H23"),
        ("G22", "receipt.ContentHandover", "H31"),
        ("G22", "status.01", "H23"),
        ("G22", "status.01", "H31"),
        ("G22", "status.03", "H23"),
    ):
        assert told.count(step) == 1, step
    assert names.index("demo.dropped") < names.index("message.submitted")


@pytest.mark.programs
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_it_stays_up_until_stopped_and_leaves_nothing(number: signal.Signals) -> None:
    """Without --once it stays up after the balance; a signal ends its programs and removes its folder."""
    demo = await asyncio.create_subprocess_exec(
        *COMMAND, "demo", "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert demo.stdout is not None
    folder = ""
    while line := await demo.stdout.readline():
        event = json.loads(line)
        folder = event.get("folder", folder).split("/node-")[0]
        if event["event"] == "demo.summary":
            break
    assert len(running_in(folder)) == 4
    demo.send_signal(number)
    _, complaint = await demo.communicate()
    assert (demo.returncode, complaint) == (0, b"")
    assert running_in(folder) == []
    assert not Path(folder).exists()


async def inbox(endpoint: dict[str, str]) -> list[dict[str, str]]:
    """What the software of a `rest` endpoint finds waiting."""
    headers = {"Authorization": f"Bearer {endpoint['token']}"}
    async with aiohttp.request("GET", f"{endpoint['url']}/v1/inbox", headers=headers) as answer:
        assert answer.status == 200
        messages: list[dict[str, str]] = (await answer.json())["messages"]
        return messages


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_with_adapters_software_can_be_pointed_at_it() -> None:
    """--adapters tells four endpoints. What G22's software sends waits at both of H23's until one confirms it, and a
    unit is declared at once; SIGTERM ends all of it."""
    demo = await asyncio.create_subprocess_exec(
        *COMMAND, "demo", "--adapters", "--json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert demo.stdout is not None
    folder = ""
    endpoints = {}
    while line := await demo.stdout.readline():
        event = json.loads(line)
        folder = event.get("folder", folder).split("/node-")[0]
        if event["event"] == "demo.endpoint":
            endpoints[event["agency"], event["adapter"]] = event
        if event["event"] == "demo.summary":
            break
    assert set(endpoints) == {(agency, adapter) for agency in ("G22", "H23") for adapter in ("vxp", "rest")}
    g22, h23 = (
        SdkClient(one["url"], one["system_id"], one["secret"])
        for one in (endpoints[agency, "vxp"] for agency in ("G22", "H23"))
    )
    doc_id = (await g22.send(classic({"a.pdf": b"%PDF-1.4"}), **{"from": "G22"})).ok["DocId"]
    rows: list[dict[str, str]] = []
    while not rows:
        rows = (await h23.post("getReceivedEdocList", servicetype="eDoc", messagetype="edoc")).ok["data"]
        await asyncio.sleep(0.1)
    assert [row["docId"] for row in rows] == [f"{doc_id}-H23"]
    assert [row["message_id"] for row in await inbox(endpoints["H23", "rest"])] == [doc_id]
    assert (await h23.post("updateStatus", b"{}", docid=rows[0]["docId"], status="done")).ok
    assert await inbox(endpoints["H23", "rest"]) == []
    assert (await h23.post("registerAgency", b'{"code": "H23.99", "name": "So moi"}')).ok
    demo.send_signal(signal.SIGTERM)
    _, complaint = await demo.communicate()
    assert (demo.returncode, complaint) == (0, b"")
    assert running_in(folder) == []
    assert not Path(folder).exists()


@pytest.mark.programs
@pytest.mark.timeout(300)
async def test_stopped_while_it_sets_up_it_leaves_nothing() -> None:
    """Ctrl-C in the middle of the set-up ends quietly, with no process and no folder left."""
    before = set(Path("/tmp").glob("congvan-demo-*"))
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "congvan", "demo", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    made: set[Path] = set()
    while not made:
        await asyncio.sleep(0.1)
        made = {folder for folder in Path("/tmp").glob("congvan-demo-*") if (folder / "hub").exists()} - before
    (folder,) = made
    demo.send_signal(signal.SIGINT)
    _, complaint = await demo.communicate()
    assert (demo.returncode, complaint) == (0, b"")
    assert running_in(str(folder)) == []
    assert not folder.exists()
