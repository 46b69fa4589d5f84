"""Documents through a site of real programs: dropped into out/, counted where they arrive."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from congvan.demo.programs import Program
from congvan.demo.scenario import QUICK
from congvan.demo.site import Member, Site
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from hub.usecases.balance import balance_of
from node.foundation import open_foundation as open_node
from node.settings import NodeFolder
from node.store.records import MessageStory
from node.store.states import DeliveryState, MessageKind

G22 = Member("G22", "Văn phòng Chính phủ")
H23 = Member("H23", "UBND tỉnh Hải Dương", ("000.00.00.H23",))
H31 = Member("H31", "UBND tỉnh Hưng Yên")


#: Seconds to wait for what must come: each lapse doubles a lease, and the machine may be busy.
PATIENCE = 150.0

#: What a killed node had leased is offered again soon, and who was cut off tries again soon.
IMPATIENT = {
    "CONGVAN_HUB__EXCHANGE__MAILBOX__LEASE_SECONDS": "2",
    "CONGVAN_NODE__EXCHANGE__RECEIVER__SPREAD": "0.2",
    **{
        f"CONGVAN_NODE__EXCHANGE__{part}__BACKOFF__{bound}": seconds
        for part in ("SENDER", "RECEIVER", "HANDOVER", "REPORTS")
        for bound, seconds in (("FIRST", "0.2"), ("LONGEST", "1"))
    },
}


def site(folder: Path, members: Sequence[Member] = (G22, H23), *, faulty: bool = False, **options: Any) -> Site:
    """A site that takes what is dropped at once. `faulty`: each program obeys `control(site, name)`."""
    made = Site(folder, members, environment=QUICK | IMPATIENT, **options)
    if faulty:
        for name in ("hub", *(f"node-{member.code}" for member in members)):
            made.launchers[name] = (sys.executable, "-m", "tests.programs.faults", str(folder / f"{name}.control"))
    return made


def program(site: Site, name: str) -> Program:
    return site.programs[name]


def order(site: Site, name: str, text: str) -> None:
    """Tell the program `name` to die at a step, to count its steps, or (empty) to do neither."""
    control = site.folder / f"{name}.control"
    fresh = control.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(control)


def drop(
    site: Site,
    number: int,
    *,
    sender: str = "G22",
    to: Sequence[str] = ("H23",),
    content: bytes = b"%PDF-",
    recalls: bool = False,
    priority: int = 0,
) -> None:
    """Put a document with one attachment into the sender's out/, whole in one rename; or the recall of it."""
    out = site.node_folder(sender) / "filedrop" / "out"
    making = out / f".{number}"
    making.mkdir(parents=True)
    recipients = ", ".join(f'"{code}"' for code in to)
    subject = f"{'Thu hồi văn' if recalls else 'Văn'} bản số {number}"
    about = document_id(number, sender)
    metadata = (
        f'subject = "{subject}"\ncode = "{number}/{"RECALL" if recalls else "TEST"}"\nplace = "Hà Nội"\n'
        f'to = [{recipients}]\nsigner = "Nguyễn Thị Lan"\npriority = {priority}\n'
    )
    if recalls:
        metadata += f'[business]\ntype = "recall"\nreason = "Nhầm"\n[[response_for]]\ndocument_id = "{about}"\n'
    else:
        (making / "van-ban.pdf").write_bytes(content + f" {number}".encode())
        metadata = f'document_id = "{about}"\n{metadata}'
    (making / "meta.toml").write_text(metadata, encoding="utf-8")
    making.rename(out / f"{'recall' if recalls else 'document'}-{number}")


def document_id(number: int, sender: str = "G22") -> str:
    """The DocumentId of what `drop` drops."""
    return f"{sender},2026/11/22,{number}/TEST"


async def subjects(site: Site, code: str) -> list[str]:
    """The subjects of the documents that were handed over to `code`: one for each folder in in/."""
    folder = site.node_folder(code) / "filedrop" / "in"
    return sorted(await asyncio.to_thread(_subjects, folder))


def _subjects(folder: Path) -> list[str]:
    if not folder.exists():
        return []
    found = []
    for received in folder.iterdir():
        document = received / "document.edxml"
        if not received.name.startswith(".") and document.exists():
            text = document.read_text(encoding="utf-8")
            found.append(text.split("Subject>")[1].split("<")[0])
    return found


async def until(holds: Callable[[], Awaitable[bool]], what: str, *, patience: float = PATIENCE) -> None:
    """Wait until `holds()`; fails with `what` when patience ends."""
    ends = time.monotonic() + patience
    while not await holds():
        assert time.monotonic() < ends, f"waited {patience:.0f} s for {what}"
        await asyncio.sleep(0.05)


async def settled(site: Site, documents: int, sender: str = "G22") -> list[MessageStory]:
    """Wait until `documents` of `sender` were handed over to each recipient, and the hub has nothing on its way.

    Gives the documents' stories as the sender's node tells them. Databases are read beside the programs: a command for
    each look would cost more than what is looked at.
    """
    async with open_node(NodeFolder(site.node_folder(sender))) as node, open_hub(HubFolder(site.hub_folder)) as hub:

        async def stories() -> list[MessageStory]:
            rows = await node.queries.outbox(limit=10_000)
            sent = [row.message.message_id for row in rows if row.message.kind is MessageKind.DOCUMENT]
            return [await node.queries.story(message_id) for message_id in sent]

        async def all_handed_over() -> bool:
            rows = await node.queries.outbox(limit=10_000)
            sent = [row for row in rows if row.message.kind is MessageKind.DOCUMENT]
            delivered = {one.delivery for row in sent for one in row.recipients}
            return len(sent) >= documents and delivered == {DeliveryState.HANDED_OVER}

        async def all_answered() -> bool:
            rows = await node.queries.outbox(limit=10_000)
            return all(one.status for row in rows if row.message.kind is MessageKind.DOCUMENT for one in row.recipients)

        async def nothing_pending() -> bool:
            balance = await balance_of(hub.database)
            return balance.balances and balance.overall.pending == 0

        await until(all_handed_over, "every hand-over to be receipted")
        await until(all_answered, "status 01 of every recipient")
        await until(nothing_pending, "the hub to run dry")
        return await stories()
