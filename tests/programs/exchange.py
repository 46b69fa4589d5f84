"""Documents through a site of real programs: dropped into out/, counted where they arrive."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from congvan.demo.programs import PATIENCE, Program
from congvan.demo.scenario import QUICK
from congvan.demo.site import Member, Site

G22 = Member("G22", "Văn phòng Chính phủ")
H23 = Member("H23", "UBND tỉnh Hải Dương", ("000.00.00.H23",))
H31 = Member("H31", "UBND tỉnh Hưng Yên")


def site(folder: Path, members: Sequence[Member] = (G22, H23), *, faulty: bool = False, **options: Any) -> Site:
    """A site that takes what is dropped at once. `faulty`: each program obeys `control(site, name)`."""
    made = Site(folder, members, environment=QUICK, **options)
    if faulty:
        for name in ("hub", *(f"node-{member.code}" for member in members)):
            made.launchers[name] = (sys.executable, "-m", "tests.programs.faults", str(folder / f"{name}.control"))
    return made


def program(site: Site, name: str) -> Program:
    return site.hub if name == "hub" else site.nodes[name.removeprefix("node-")]


def order(site: Site, name: str, text: str) -> None:
    """Tell the program `name` to die at a step, to count its steps, or (empty) to do neither."""
    control = site.folder / f"{name}.control"
    fresh = control.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(control)


def drop(
    site: Site, number: int, *, sender: str = "G22", to: Sequence[str] = ("H23",), content: bytes = b"%PDF-"
) -> None:
    """Put a document with one attachment into the sender's out/, whole in one rename."""
    out = site.node_folder(sender) / "filedrop" / "out"
    making = out / f".{number}"
    making.mkdir(parents=True)
    (making / "van-ban.pdf").write_bytes(content + f" {number}".encode())
    recipients = ", ".join(f'"{code}"' for code in to)
    (making / "meta.toml").write_text(
        f'subject = "Văn bản số {number}"\ncode = "{number}/TEST"\nplace = "Hà Nội"\nto = [{recipients}]\n'
        '[signer]\nfull_name = "Nguyễn Thị Lan"\n',
        encoding="utf-8",
    )
    making.rename(out / f"document-{number}")


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


async def settled(site: Site, documents: int, sender: str = "G22") -> None:
    """Wait until `documents` of `sender` were handed over to each recipient, and the hub has nothing on its way."""

    async def all_handed_over() -> bool:
        rows = await site.on_node(sender, "outbox", "--limit", "10000")
        delivered = [one["delivery"] for row in rows if row["kind"] == "document" for one in row["recipients"]]
        return len(delivered) >= documents and set(delivered) == {"handed-over"}

    async def nothing_pending() -> bool:
        balance = await site.on_hub("balance")
        return bool(balance["balances"]) and balance["overall"]["pending"] == 0

    await until(all_handed_over, "every hand-over to be receipted")
    await until(nothing_pending, "the hub to run dry")
