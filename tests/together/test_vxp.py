"""Two agencies' software, each speaking the axis' API to its node: a document goes one way, its status the other."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

from adapters.sdk import Accepted, AdapterContext, Awaiting, Delivery, Outcome
from adapters.vxp import open_vxp
from schemas.classic_reader import read_classic
from schemas.message import Document, StatusCode, StatusMessage
from tests.adapters.classic import classic_bytes
from tests.adapters.simulator import reference
from tests.adapters.test_filedrop_in import Sinks
from tests.adapters.vxp.client import SdkClient
from tests.together.documents import document, status
from tests.together.ground import Ground
from tests.together.site import Site, opened

FILES = {"6101.pdf": b"%PDF-1.7 " + bytes(90_000), "biểu mẫu.csv": b"a,b\r\n"}


async def _leave(_delivery: Delivery) -> Outcome:
    return Awaiting()


@contextlib.asynccontextmanager
async def software(site: Site, name: str, folder: Path) -> AsyncIterator[SdkClient]:
    """The software of the agency that the node `name` serves: a client of that node's API."""
    site.software[name].answer = _leave
    secret = folder / f"{name}.secret"
    secret.write_text("demo-secret-123")
    secret.chmod(0o600)
    node = site.node(name).foundation
    table = {"system_id": f"vxp.{name}", "secret_file": secret, "codes": [name.upper()]}
    settings = {"listen": "127.0.0.1:0", "systems": {"software": table}}
    context = AdapterContext(
        name="software", settings=settings, node=node.api("software"), folder=folder / name, clock=node.clock
    )
    adapter = await open_vxp(context)
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop))
    try:
        while adapter.url is None and not running.done():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        assert adapter.url is not None
        yield SdkClient(adapter.url, f"vxp.{name}", "demo-secret-123")
    finally:
        stop.set()
        await running
        await adapter.close()


async def test_a_document_goes_and_its_status_comes_back(ground: Ground, tmp_path: Path) -> None:
    """G22 sends by the API; H23 lists, fetches and confirms by it, and answers with status 03; G22 sees both."""
    sent = dataclasses.replace(
        document("G22", "H23", number=1), references=tuple(reference(*file) for file in FILES.items())
    )
    async with (
        opened(ground.copy(tmp_path / "site"), ground.made_at) as site,
        software(site, "g22", tmp_path) as g22,
        software(site, "h23", tmp_path) as h23,
    ):
        doc_id = (await g22.send(classic_bytes(sent, FILES), **{"from": "G22"})).ok["DocId"]
        await site.run_dry()

        (row,) = (await h23.post("getReceivedEdocList", servicetype="eDoc", messagetype="edoc")).ok["data"]
        assert (row["from"], row["to"], row["docId"]) == ("G22", "H23", f"{doc_id}-H23")
        assert (await h23.post("countReceiveEdoc", b"{}")).ok["count"] == 1
        data = base64.b64decode((await h23.post("getEdoc", b"{}", docId=row["docId"])).ok["data"])
        sinks = Sinks()
        read = read_classic([data], sinks.open, source="getEdoc")
        assert isinstance(read.message, Document)
        assert read.message.subject == sent.subject
        assert {one.name: sinks.contents[one.index] for one in read.attachments} == FILES
        (standing,) = (await g22.post("getSentEdocList", messagetype="edoc")).ok["data"]
        assert (standing["sendStatus"], standing["receiveStatus"]) == ("consigned", "01")

        assert (await h23.post("updateStatus", b"{}", docid=row["docId"], status="done")).ok
        assert (await h23.post("getReceivedEdocList", messagetype="edoc")).ok["data"] == []
        accepted = classic_bytes(status("H23", sent), {})
        assert (await h23.send(accepted, **{"from": "H23", "messagetype": "status"})).ok["DocId"]
        await site.run_dry()

        (standing,) = (await g22.post("getSentEdocList", messagetype="edoc", docId=doc_id)).ok["data"]
        assert (standing["senderDocId"], standing["receiverDocId"]) == (doc_id, row["docId"])
        assert (standing["sendStatus"], standing["receiveStatus"]) == ("handed-over", "03")
        statuses = (await g22.post("getReceivedEdocList", messagetype="status")).ok["data"]
        codes = set()
        for one in statuses:
            download = await SdkClient(g22.endpoint, g22.system_id, g22.secret).download(docId=one["docId"])
            message = read_classic([download.body], Sinks().open, source="downloadEdoc").message
            assert isinstance(message, StatusMessage)
            codes.add(message.status_code)
        assert StatusCode.ACCEPTED in codes
        assert (await g22.post("countReceiveStatus", b"{}")).ok["count"] == len(statuses)
        # What one agency's software may see, the other's may not.
        assert (await SdkClient(g22.endpoint, "vxp.h23", h23.secret).post("countReceiveEdoc")).failure
        assert (await SdkClient(g22.endpoint, g22.system_id, g22.secret).download(docId=row["docId"])).status == 204


async def test_a_failed_document_is_shown_and_driven_again(ground: Ground, tmp_path: Path) -> None:
    """fail parks a document with its reason where the operator sees it; driven again, it stands in the list again."""
    async with (
        opened(ground.copy(tmp_path / "site"), ground.made_at) as site,
        software(site, "g22", tmp_path) as g22,
        software(site, "h23", tmp_path) as h23,
    ):
        await g22.send(classic_bytes(document("G22", "H23", number=1), {}), **{"from": "G22"})
        await site.run_dry()
        (row,) = (await h23.post("getReceivedEdocList", messagetype="edoc")).ok["data"]
        await h23.post("updateStatus", b"{}", docId=row["docId"], status="fail", description="thieu phu luc")
        assert (await h23.post("getReceivedEdocList", messagetype="edoc")).ok["data"] == []
        node = site.node("h23").foundation
        (inbox,) = await node.queries.inbox()
        assert "thieu phu luc" in str(inbox)
        assert await node.parked.drive_again(inbox.message.message_id) == 1
        await site.run_dry()
        (again,) = (await h23.post("getReceivedEdocList", messagetype="edoc")).ok["data"]
        assert again["docId"] == row["docId"]


async def test_two_adapters_offer_what_awaits_one_agencys_software(ground: Ground, tmp_path: Path) -> None:
    """An adapter with the desk of another offers the same messages; whichever confirms first hands over."""
    async with (
        opened(ground.copy(tmp_path / "site"), ground.made_at) as site,
        software(site, "g22", tmp_path) as g22,
        software(site, "h23", tmp_path) as h23,
    ):
        await g22.send(classic_bytes(document("G22", "H23", number=1), {}), **{"from": "G22"})
        await site.run_dry()
        (row,) = (await h23.post("getReceivedEdocList", messagetype="edoc")).ok["data"]
        beside = site.node("h23").foundation.api("rest", desk="software")
        assert not await site.node("h23").foundation.api("rest").waiting()
        (waiting,) = await beside.waiting()
        assert str(waiting.key) == row["docId"]
        await beside.settle(waiting.key, Accepted())
        assert (await h23.post("countReceiveEdoc", b"{}")).ok["count"] == 0
        assert (await h23.post("updateStatus", b"{}", docId=row["docId"], status="done")).ok
