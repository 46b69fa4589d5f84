"""`make bench`: documents a second, node to node, durable, with the signed receipt back, everything on this machine.

A hub and two nodes run as processes of their own. Documents of 10 KiB (one attachment) are given to the sender's
node as an adapter would, and count once the receipt of consignment is back with the sender. The floor beside it
is how many commits a second SQLite makes durable on the same disk: each document needs several on its way.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adapters.sdk import OutgoingAttachment, Submission
from congvan.demo.site import Member, Site
from node.foundation import Foundation, open_foundation
from node.settings import NodeFolder
from node.store.states import DeliveryState, MessageKind
from node.usecases.identity import COMMAND_ADAPTER
from runtime.logs import LogFormat, configure_logs
from runtime.wakeups import ring
from schemas.codes import AgencyCode
from schemas.message import Document, DocumentCode, DocumentType, Organ, PromulgationInfo, SignerInfo
from schemas.times import DateText

SIZE = 10 * 1024
BACK = {DeliveryState.CONSIGNED, DeliveryState.HANDED_OVER}


def commits_per_second(folder: Path, seconds: float = 2.0) -> float:
    """Durable one-row commits of SQLite (WAL, synchronous FULL) on the disk of `folder`."""
    with sqlite3.connect(folder / "floor.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE t (x)")
        commits, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            connection.execute("INSERT INTO t VALUES (1)")
            commits += 1
        return commits / (time.perf_counter() - started)


def letter(number: int) -> Document:
    return Document(
        sender=Organ(organ_id=AgencyCode("G22")),
        recipients=(Organ(organ_id=AgencyCode("H23")),),
        document_id=f"G22,2026/11/21,{number}/BENCH",
        code=DocumentCode(number=str(number), notation="BENCH"),
        promulgation=PromulgationInfo(place="Hà Nội", date=DateText("2026/11/21")),
        document_type=DocumentType(type=2, type_detail=18, type_name="Công văn"),
        subject=f"Văn bản số {number}",
        content="Văn bản",
        signer=SignerInfo(full_name="Nguyễn Thị Lan"),
        trace=(),
    )


async def submit(node: Foundation, number: int, folder: Path) -> None:
    path = folder / f"{number}.pdf"
    path.write_bytes(os.urandom(SIZE))
    attachment = OutgoingAttachment(name="a.pdf", content_type="application/pdf", description="", path=path)
    fingerprint = hashlib.sha256(path.name.encode()).hexdigest()
    await node.api(COMMAND_ADAPTER).submit(
        Submission(key=path.name, fingerprint=fingerprint, message=letter(number), attachments=(attachment,))
    )


async def receipted(node: Foundation, documents: int) -> bool:
    rows = await node.queries.outbox(limit=documents * 2)
    sent = [row for row in rows if row.message.kind is MessageKind.DOCUMENT]
    return len(sent) == documents and all(one.delivery in BACK for row in sent for one in row.recipients)


async def round_trips(folder: Path, documents: int) -> float:
    """Documents a second from the first submission to the last receipt."""
    site = Site(folder, (Member("G22", "Văn phòng Chính phủ"), Member("H23", "UBND tỉnh Hải Dương")))
    await site.set_up()
    try:
        await site.start_nodes()
        async with open_foundation(NodeFolder(site.node_folder("G22"))) as node:
            await node.directory.load()
            await submit(node, 0, folder)
            ring(node.folder.doorbell)
            while not await receipted(node, 1):
                await asyncio.sleep(0.05)
            started = time.perf_counter()
            for first in range(1, documents, 32):
                await asyncio.gather(*(submit(node, n, folder) for n in range(first, min(first + 32, documents))))
                ring(node.folder.doorbell)
            while not await receipted(node, documents):
                await asyncio.sleep(0.1)
            return (documents - 1) / (time.perf_counter() - started)
    finally:
        await site.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--documents", type=int, default=400)
    options = parser.parse_args()
    configure_logs(LogFormat.TEXT, "error")
    with tempfile.TemporaryDirectory(prefix="congvan-bench-") as name:
        floor = commits_per_second(Path(name))
        rate = asyncio.run(round_trips(Path(name), options.documents))
    table = Table("row", "value", "against", "reference", "ratio", title="Congvan on this machine")
    row = f"documents/s, {SIZE // 1024} KiB, node to node with receipt, embedded ({options.documents} documents)"
    table.add_row(row, f"{rate:.1f}", "SQLite FULL commits/s", f"{floor:.0f}", f"{rate / floor:.3f}")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
