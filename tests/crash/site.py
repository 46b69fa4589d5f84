"""Hub and nodes in the suite's hand: each on a disk of its own, behind a line of its own, by a clock of its own."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from congvan.demo.site import Site
from runtime.clock import utc_now
from tests.crash import stamped
from tests.crash.clocks import WrongClock, preloadable
from tests.crash.connections import Access, Kind, connect, shared_out
from tests.crash.disks import SmallDisk
from tests.crash.effects import WrongTimes, felt
from tests.crash.load import CODES, MEMBERS
from tests.crash.network import Line
from tests.crash.schedule import HUB, Column, Fault, FaultKind
from tests.crash.servers import Servers
from tests.crash.supervisor import Supervisor

NODES = tuple(f"node-{code}" for code in CODES)
PROGRAMS = (HUB, *NODES)
#: Kinds that are, for those who wait for each other, another kind.
_GROUPS: Final = {FaultKind.CLOCK_DAYS: FaultKind.CLOCK, FaultKind.WIPE_BROKER: FaultKind.KILL_BROKER}
#: Seconds after a full disk, or the absence of a server, within which a program may still end for its sake.
_RECOVERY: Final = 10.0
#: Faults that end the connections that stand, and how many seconds they wait for one: a node that other faults cut off
#: tries again every few seconds, and a look now and then would find none.
_CUTTING: Final = frozenset({FaultKind.DROP, FaultKind.RESET, FaultKind.REFUSE})
_TO_CUT: Final = 20.0

#: What the hub of the distributed column is told besides: it is two processes, and one that watches them.
_BY_PROCESSES: Final = "--workers 2"

#: A run is to be short: what waits is tried again within seconds. Nothing is held in reserve on a disk, so that disks
#: run full in earnest; and no clock of these runs makes a delivery expire, or ends a hold: those would be no loss.
SETTINGS = {
    "CONGVAN_HUB__EXCHANGE__MAILBOX__LEASE_SECONDS": "3",
    "CONGVAN_HUB__EXCHANGE__MAILBOX__LONGEST_LEASE_SECONDS": "12",
    "CONGVAN_HUB__EXCHANGE__MAILBOX__RELEASE__FIRST_SECONDS": "0.5",
    "CONGVAN_HUB__EXCHANGE__MAILBOX__RELEASE__LONGEST_SECONDS": "4",
    "CONGVAN_HUB__EXCHANGE__SUBMISSIONS__SPARE_BYTES": "65536",
    **{
        f"CONGVAN_HUB__EXCHANGE__DELIVERIES__DAYS__{priority}": "3650"
        for priority in ("NORMAL", "URGENT", "VERY_URGENT", "EXPRESS", "EXPRESS_APPOINTED")
    },
    "CONGVAN_NODE__EXCHANGE__RECEIVER__RESERVE_BYTES": "0",
    "CONGVAN_NODE__EXCHANGE__RECEIVER__WAIT": "5",
    "CONGVAN_NODE__EXCHANGE__RECEIVER__SPREAD": "0.5",
    "CONGVAN_NODE__EXCHANGE__HANDOVER__HOLD": "1000000000",
    **{
        f"CONGVAN_NODE__EXCHANGE__{part}__BACKOFF__{bound}": seconds
        for part in ("SENDER", "RECEIVER", "HANDOVER", "REPORTS")
        for bound, seconds in (("FIRST", "0.2"), ("LONGEST", "2"))
    },
}


@dataclass(slots=True)
class CrashSite:
    """The programs in `folder`, whose attachments come to `volume` bytes; set up and running within `async with`.

    `kinds` are the adapters, shared out among the nodes, each in a process of its own if `isolated`; `accesses` what
    each agency's software connects by.
    """

    folder: Path
    volume: int
    column: Column = Column.EMBEDDED
    kinds: Sequence[Kind] = tuple(Kind)
    isolated: bool = False
    accesses: dict[str, tuple[Access, ...]] = field(init=False, default_factory=dict)
    site: Site = field(init=False)
    supervisor: Supervisor = field(init=False)
    lines: dict[str, Line] = field(init=False, default_factory=dict)
    clocks: dict[str, WrongClock] = field(init=False, default_factory=dict)
    disks: dict[str, SmallDisk] = field(init=False, default_factory=dict)
    servers: Servers | None = field(init=False, default=None)
    _turns: defaultdict[tuple[str, FaultKind], asyncio.Lock] = field(
        init=False, default_factory=lambda: defaultdict(asyncio.Lock)
    )
    _full: dict[str, float] = field(init=False, default_factory=dict)
    _resources: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        self.site = Site(self.folder, MEMBERS, environment=SETTINGS)
        library = preloadable(self.folder)
        async with AsyncExitStack() as stack:
            if self.column is Column.DISTRIBUTED:
                self.servers = await stack.enter_async_context(Servers(self.folder))
                self.site.databases = self.servers.databases()
                # Of this process as well: it reads the hub's record, and audits it.
                os.environ.update(self.servers.environment())
            for name in PROGRAMS:
                self.disks[name] = SmallDisk.for_volume(self.folder / name, self.volume)
                self.disks[name].mount()
                stack.callback(self.disks[name].unmount)
                self.clocks[name] = WrongClock(self.folder / f"{name}.clock", library)
                variables = dict(self.clocks[name].environment)
                if name != HUB:
                    self.lines[name] = Line(self.site.host)
                    await self.lines[name].open()
                    stack.push_async_callback(self.lines[name].close)
                    variables["CONGVAN_NODE__HUB__URL"] = f"https://{self.site.host}:{self.lines[name].port}"
                assignments = [f"{variable}={value}" for variable, value in variables.items()]
                more = _BY_PROCESSES if name == HUB and self.servers else ""
                command = (sys.executable, stamped.__file__, str(self._stamp(name)), more)
                self.site.launchers[name] = ("env", *assignments, *command)
            stack.push_async_callback(self.site.stop)
            await self.site.set_up()
            for code, kinds in shared_out(self.kinds).items():
                self.accesses[code] = connect(self.site.node_folder(code), code, kinds, isolated=self.isolated)
            for line in self.lines.values():
                line.target = self.site.port
            self.supervisor = await stack.enter_async_context(Supervisor(self.site.programs, self._explains_end))
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    def filedrop(self, code: str) -> Path:
        return self.site.node_folder(code) / "filedrop"

    async def await_target(self, fault: Fault) -> None:
        """Wait, for a time, until there is something for `fault` to strike."""
        if fault.kind in _CUTTING:
            await self.lines[fault.target].carries(_TO_CUT)

    async def strike(self, fault: Fault) -> bool:
        """Let `fault` happen, and heal what it did; returns when its time is over, and says whether it was felt.

        Faults of one kind at one target wait for each other: none heals what another one still does.
        """
        async with self._turns[fault.target, _GROUPS.get(fault.kind, fault.kind)]:
            return await self._strike(fault)

    async def _strike(self, fault: Fault) -> bool:
        line = self.lines.get(fault.target)
        match fault.kind:
            case FaultKind.KILL:
                return await self.supervisor.kill(fault.target, pause=fault.seconds)
            case FaultKind.KILL_PROCESS | FaultKind.KILL_ADAPTER:
                return self.supervisor.kill_child(fault.target)
            case FaultKind.KILL_DATABASE | FaultKind.KILL_BROKER | FaultKind.WIPE_BROKER | FaultKind.KILL_STORAGE if (
                self.servers
            ):
                await self.servers.strike(fault.target, fault.seconds, wipe=fault.kind is FaultKind.WIPE_BROKER)
                return True
            case FaultKind.FULL_DISK:
                return await self._fill(fault)
            case FaultKind.CLOCK | FaultKind.CLOCK_DAYS:
                return await self._set_clock(fault)
            case FaultKind.DROP if line:
                return line.drop() > 0
            case FaultKind.RESET if line:
                return line.reset() > 0
            case FaultKind.REFUSE if line:
                ended = await line.refuse()
                await asyncio.sleep(fault.seconds)
                await line.open()
                return ended > 0
            case FaultKind.STALL if line:
                held = line.held
                line.stall()
                was_felt = await felt(fault.seconds, lambda: line.held > held)
                line.flow()
                return was_felt
            case FaultKind.CUT if line:
                cuts, line.cut_after = line.cuts, fault.amount
                was_felt = await felt(fault.seconds, lambda: line.cuts > cuts)
                line.cut_after = None
                return was_felt
        raise ValueError(f"{fault} has nothing to strike")

    async def _fill(self, fault: Fault) -> bool:
        disk = self.disks[fault.target]
        self._full[fault.target] = math.inf
        await asyncio.to_thread(disk.fill, fault.amount)
        was_felt = await felt(fault.seconds, disk.is_full)
        await asyncio.to_thread(disk.free)
        self._full[fault.target] = time.monotonic()
        return was_felt

    async def _set_clock(self, fault: Fault) -> bool:
        times = WrongTimes(self._stamp(fault.target), fault.amount, utc_now)
        self.clocks[fault.target].set(fault.amount)
        was_felt = await felt(fault.seconds, times.are_told)
        self.clocks[fault.target].set(0)
        return was_felt

    def _stamp(self, name: str) -> Path:
        """Where the program says by what time it goes; not on its own disk, which may be full."""
        return self.folder / f"{name}.stamp"

    def _explains_end(self, name: str) -> bool:
        was_full = time.monotonic() - self._full.get(name, -math.inf) < _RECOVERY
        return was_full or (self.servers is not None and self.servers.excuse(name, _RECOVERY))

    @property
    def folders(self) -> list[Path]:
        """Those of the hub and of the nodes."""
        return [self.folder / name for name in PROGRAMS]

    async def stop(self) -> None:
        """Stop the programs in order, for good."""
        await self.supervisor.stop()
        await self.site.stop()

    async def heal(self) -> None:
        """Undo whatever any fault did."""
        if self.servers is not None:
            await self.servers.heal()
        for line in self.lines.values():
            await line.open()
            line.flow()
            line.cut_after = None
        for clock in self.clocks.values():
            clock.set(0)
        for disk in self.disks.values():
            await asyncio.to_thread(disk.free)
