"""What happens in the demo, from the making of the authority to the balance."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from congvan.demo.endpoints import open_endpoints
from congvan.demo.paper import letter_pdf, table_csv
from congvan.demo.programs import PATIENCE
from congvan.demo.site import Member, Site
from congvan.demo.telling import Teller
from congvan.demo.watching import Watch, follow, open_watch
from hub.foundation import open_foundation as open_hub
from hub.settings import HubFolder
from hub.usecases.balance import Tally, balance_of
from runtime.terminal import show_table
from schemas.errors import Unavailable
from schemas.message import StatusCode

SENDER = Member("G22", "Văn phòng Chính phủ")
RECIPIENTS = (
    Member("H23", "UBND tỉnh Hải Dương", ("000.00.00.H23",)),
    Member("H31", "UBND tỉnh Hưng Yên", ("000.00.00.H31",)),
)
ACCEPTING = RECIPIENTS[0].code

#: Who has software of its own, with --adapters.
OPENED = (SENDER.code, ACCEPTING)

#: The folder is dropped whole, so nothing need settle: a demo is watched, and a second is long.
QUICK = {
    "CONGVAN_NODE__ADAPTERS__FILEDROP__POLL_SECONDS": "0.1",
    "CONGVAN_NODE__ADAPTERS__FILEDROP__SETTLE_SECONDS": "0.1",
    # Software that is tried out here declares its units without anybody's approval.
    "CONGVAN_HUB__HUB__UNITS__POLICY": "at-once",
}

#: Software that declares units need not wait for an operator.
OPEN_UNITS = {"CONGVAN_HUB__HUB__UNITS__POLICY": "at-once"}

_LETTER = (
    "VAN PHONG CHINH PHU",
    "So: 6101/VPCP-KSTT",
    "",
    "Kinh gui: UBND tinh Hai Duong, UBND tinh Hung Yen",
    "",
    "V/v gui, nhan van ban dien tu giua cac co quan trong he thong hanh chinh nha nuoc.",
)
_SUBJECT = "V/v gửi, nhận văn bản điện tử giữa các cơ quan trong hệ thống hành chính nhà nước"

#: One recipient is named by its code of today, the other by its older one: the directory knows both.
_METADATA = f"""\
subject = "{_SUBJECT}"
content = "Đề nghị các địa phương báo cáo kết quả gửi, nhận văn bản điện tử"
code = "6101/VPCP-KSTT"
place = "Hà Nội"
to = ["H23", "000.00.00.H31"]
priority = "khẩn"

[document_type]
type = 2
type_detail = 18
type_name = "Công văn"

[signer]
competence = "KT. BỘ TRƯỞNG, CHỦ NHIỆM"
position = "Phó Chủ nhiệm"
full_name = "Nguyễn Thị Lan"
"""


@dataclass(slots=True)
class Demo:
    """The demo in `folder`, told by `teller`; with `adapters` G22 and H23 are open for software at its end."""

    folder: Path
    teller: Teller
    adapters: bool = False
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        environment = QUICK | (OPEN_UNITS if self.adapters else {})
        self.site = Site(self.folder, (SENDER, *RECIPIENTS), environment=environment)

    async def run(self, stop: asyncio.Event, *, stay: bool) -> bool:
        """Play it through; `stay` until `stop` is set. Leaves nothing running; False if it was stopped half-way."""
        try:
            played = await unless(stop, self._play())
            if played and stay:
                self._invite()
                await stop.wait()
                self.teller.headline("Stopping")
            return played
        finally:
            await self.site.stop()

    async def _play(self) -> None:
        self.teller.headline("Congvan: một công văn đi từ cơ quan này đến cơ quan khác / a dispatch on its way")
        self.teller.aside(f"Everything is in {self.folder}")
        await self._set_up()
        async with AsyncExitStack() as stack:
            watches = {
                member.code: await stack.enter_async_context(
                    open_watch(member.code, self.site.node_folder(member.code))
                )
                for member in self.site.members
            }
            self._drop()
            async with following(watches, self.teller):
                await self._until_accepted(watches)
                tally = await self._until_balanced()
            await self._show_table(watches[SENDER.code])
        if self.adapters:
            await self._open_endpoints()
        self._sum_up(tally)

    async def _set_up(self) -> None:
        self.teller.headline("1  A hub with its authority, three agencies, mutual TLS")
        await self.site.set_up()
        self.teller.tell("demo.hub", f"the hub answers at {self.site.url}", agency="hub", url=self.site.url)
        for member in self.site.members:
            sentence = f"{member.name} is enrolled: its node made its keys, the hub its certificates"
            self.teller.tell("demo.enrolled", sentence, agency=member.code, name=member.name)
        await self.site.start_nodes()
        self.teller.tell(
            "demo.nodes", "the nodes are up, each a process of its own", agency="", nodes=len(self.site.nodes)
        )

    def _drop(self) -> None:
        """Put the document into G22's out/, as software that knows nothing of Congvan would."""
        self.teller.headline("2  G22 drops a document with a PDF and a CSV into its folder out/")
        out = self._filedrop(SENDER.code) / "out"
        making = out / ".6101"
        making.mkdir(parents=True)
        (making / "6101_VPCP_KSTT.pdf").write_bytes(letter_pdf(_LETTER))
        (making / "bieu-mau.csv").write_bytes(
            table_csv([("Địa phương", "Văn bản gửi", "Văn bản nhận"), ("Hải Dương", "", ""), ("Hưng Yên", "", "")])
        )
        (making / "meta.toml").write_text(_METADATA, encoding="utf-8")
        dropped = making.rename(out / "6101-VPCP-KSTT")
        files = sorted(file.name for file in dropped.iterdir())
        sentence = f"dropped {dropped.name}/ ({', '.join(files)})"
        self.teller.tell("demo.dropped", sentence, agency=SENDER.code, folder=str(dropped), files=files)
        self.teller.headline("3  It is sealed, submitted, accepted, delivered; receipts and statuses come back")

    async def _until_accepted(self, watches: dict[str, Watch]) -> None:
        """Wait until every recipient has the document; have H23 accept it; wait until G22 knows."""
        sender, accepting = watches[SENDER.code], watches[ACCEPTING]
        await until(lambda: sender.all_handed_over(len(RECIPIENTS)), "the document to arrive", self.site)
        message = await sender.document()
        self.teller.headline("4  H23 accepts it: status 03 travels back")
        await accepting.respond(message, StatusCode.ACCEPTED, "Đã tiếp nhận văn bản")
        await until(lambda: sender.has_status(ACCEPTING, StatusCode.ACCEPTED), "status 03 to come back", self.site)
        for member in RECIPIENTS[1:]:
            await until(
                partial(sender.has_status, member.code, StatusCode.ARRIVED), "status 01 to come back", self.site
            )

    async def _until_balanced(self) -> Tally:
        """Wait until the hub has nothing on its way any more; gives its count."""
        async with open_hub(HubFolder(self.site.hub_folder)) as hub:

            async def nothing_pending() -> bool:
                return (await balance_of(hub.database)).overall.pending == 0

            await until(nothing_pending, "the hub to run dry", self.site)
            counted = await balance_of(hub.database)
        if not counted.balances:
            raise Unavailable("demo-balance", f"The count does not balance: {counted.overall}.")
        return counted.overall

    async def _show_table(self, sender: Watch) -> None:
        if self.teller.as_json:
            return
        row = await sender.outbox_row()
        show_table(
            f"\nThe document {row.message.message_id}",
            ("recipient", "name", "written as", "delivery", "status", "words"),
            ((one.code, one.name, one.written, one.delivery, one.status, one.status_text) for one in row.recipients),
        )

    async def _open_endpoints(self) -> None:
        """Start the nodes of G22 and H23 with APIs for software: what comes from now on is for the software."""
        self.teller.headline("5  G22 and H23 open APIs for their own software")
        endpoints = await open_endpoints(self.site, OPENED)
        for one in endpoints:
            sentence = f"{one.adapter} answers at {one.url}"
            self.teller.tell(
                "demo.endpoint", sentence, agency=one.agency, adapter=one.adapter, url=one.url, **one.access
            )
        if not self.teller.as_json:
            rows = [
                (one.agency, one.adapter, one.url, name, value)
                for one in endpoints
                for name, value in one.access.items()
            ]
            show_table("\nPoint software at these", ("agency", "adapter", "url", "give", "value"), rows)

    def _sum_up(self, tally: Tally) -> None:
        count = asdict(tally)
        ended = " + ".join(f"{name} {number}" for name, number in count.items() if name != "accepted")
        sentence = f"accepted {tally.accepted} = {ended}: the count of document and statuses balances"
        self.teller.headline(f"{6 if self.adapters else 5}  The balance of the hub")
        self.teller.tell("demo.summary", sentence, **count, seconds=round(self.teller.seconds, 2))

    def _invite(self) -> None:
        congvan = f"{shlex.quote(sys.executable)} -m congvan"
        sender, third = (self.site.node_folder(member.code) for member in (SENDER, RECIPIENTS[1]))
        self.teller.headline("It stays up until Ctrl-C. In another terminal, try")
        for what, how in (
            ("what H23 received", f"ls {self._filedrop(ACCEPTING)}/in"),
            ("send a file", f"{congvan} node send README.md --to H31 --number 1/TEST --subject Thử --dir {sender}"),
            ("or drop one in", f"{self._filedrop(SENDER.code)}/out"),
            ("what G22 sent, and where it is", f"{congvan} node outbox --dir {sender}"),
            ("the story of a message", f"{congvan} node show MESSAGE --dir {sender}"),
            ("what H31 received", f"{congvan} node inbox --dir {third}"),
            ("the hub's balance", f"{congvan} hub balance --dir {self.site.hub_folder}"),
            ("the programs' logs", f"{self.folder}/*.log"),
        ):
            self.teller.aside(f"  {what}:\n      {how}")

    def _filedrop(self, code: str) -> Path:
        return self.site.node_folder(code) / "filedrop"


@contextlib.asynccontextmanager
async def following(watches: dict[str, Watch], teller: Teller) -> AsyncIterator[None]:
    """Tell what the nodes record, until the block ends; then what they recorded last."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for watch in watches.values():
            group.create_task(follow(watch, teller, over, told_by=SENDER.code))
        yield
        over.set()


async def until(holds: Any, what: str, site: Site) -> None:
    """Wait until `holds()` does. Raises `demo-stuck` when a program ended or patience does."""
    for _ in range(int(PATIENCE / 0.05)):
        if await holds():
            return
        for program in site.programs.values():
            if not program.is_running:
                raise Unavailable("demo-stuck", f"A program ended by itself; its log: {program.log}")
        await asyncio.sleep(0.05)
    raise Unavailable("demo-stuck", f"Waited {PATIENCE:.0f} s for {what}.", mend=f"Look at {site.folder}/*.log.")


async def unless(stop: asyncio.Event, play: Coroutine[Any, Any, None]) -> bool:
    """Run `play` to its end, True, or until `stop` is set."""
    playing = asyncio.ensure_future(play)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not playing.done():
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing
        return False
    await playing
    return True
