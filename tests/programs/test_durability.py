"""The disk has it before the answer leaves: system calls of the real hub, seen by strace.

`kill -9` proves nothing of this: what a killed program wrote stays in the page cache. A power cut takes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sdk import OutgoingAttachment, Submission
from node.foundation import Foundation, open_foundation
from node.settings import NodeFolder
from node.usecases.identity import COMMAND_ADAPTER
from schemas.codes import AgencyCode
from schemas.message import Document, DocumentCode, DocumentType, Organ, PromulgationInfo, SignerInfo
from schemas.times import DateText
from tests.programs import durability, exchange
from transport.wire import SubmissionState

CONTENT = b"%PDF-" + bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()

LETTER = Document(
    sender=Organ(organ_id=AgencyCode("G22")),
    recipients=(Organ(organ_id=AgencyCode("H23")),),
    document_id="G22,2026/11/21,1/TEST",
    code=DocumentCode(number="1", notation="TEST"),
    promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/21")),
    document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
    subject="Văn bản",
    content="Văn bản",
    signer=SignerInfo(full_name="Nguyễn Thị Lan"),
    trace=(),
)


async def submit(node: Foundation, letter: Path) -> None:
    """Seal a document with one attachment and take it to the hub, up to its acknowledgement."""
    await node.directory.load()
    attachment = OutgoingAttachment(name="a.pdf", content_type="application/pdf", description="", path=letter)
    submitted = await node.api(COMMAND_ADAPTER).submit(
        Submission(key="1", fingerprint="0" * 64, message=LETTER, attachments=(attachment,))
    )
    sealed = await node.queries.sealed(submitted.message_id)

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT

    async with node.hub_client() as hub:
        answer = await hub.submit(sealed, {})
        assert answer.state is SubmissionState.INCOMPLETE
        await hub.upload(answer.uploads[0].location, 0, content())
        assert (await hub.submit(sealed, {})).state is SubmissionState.ACCEPTED


async def kill_tracee(site: exchange.Site) -> None:
    """Kill the hub under strace, which then ends by itself with its trace complete."""
    strace = site.hub.pid
    (hub,) = Path(f"/proc/{strace}/task/{strace}/children").read_text().split()
    os.kill(int(hub), signal.SIGKILL)
    await site.hub.wait()


@pytest.mark.programs
@pytest.mark.privileged
@pytest.mark.timeout(300)
async def test_the_answer_waits_for_the_disk(tmp_path: Path) -> None:
    """Blob, folder and database are synced before an acknowledgement's first byte; each is missed if left out."""
    site = exchange.site(tmp_path, (exchange.G22, exchange.H23), faulty=True)
    await site.set_up()
    await site.hub.stop()
    # The last one left out nothing: it shows that what the others miss is missed for want of that sync alone.
    for left_out, missing in (
        ("file", ["the blob's bytes"]),
        ("folder", ["the blob's folder"]),
        ("database", ["the database"]),
        ("", []),
    ):
        trace = tmp_path / f"trace-{left_out}"
        exchange.order(site, "hub", f"without {left_out}" if left_out else "")
        launcher = (sys.executable, "-m", "tests.programs.faults", str(tmp_path / "hub.control"))
        site.programs["hub"] = exchange.Program(
            ("hub", "serve", "--dir", str(site.hub_folder)),
            tmp_path / "hub.log",
            command=(*durability.STRACE, "-o", str(trace), *launcher),
        )
        await site.start_hub()
        folder = await asyncio.to_thread(fresh_copy, site.node_folder("G22"), tmp_path / f"node-{left_out}")
        letter = tmp_path / "letter.pdf"
        letter.write_bytes(CONTENT)
        try:
            async with open_foundation(NodeFolder(folder)) as node:
                await submit(node, letter)
        finally:
            await kill_tracee(site)
        assert durability.missing_syncs(durability.read_trace(trace), DIGEST) == missing


def fresh_copy(folder: Path, target: Path) -> Path:
    """The node as it was enrolled: with nothing in its outbox, so that each round sends a message of its own."""
    return Path(shutil.copytree(folder, target))
