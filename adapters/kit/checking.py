"""Checking an adapter: every check in a world of its own."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.kit.checks import CHECKS, Check
from adapters.kit.ledger import Ledger
from adapters.kit.messages import HUGE, Repertoire
from adapters.kit.node import StandInNode
from adapters.kit.probing import ProbeFactory
from adapters.kit.report import CheckResult, KitReport
from adapters.kit.stage import Stage, told
from adapters.kit.standstill import LONGEST, watched
from adapters.kit.targets import reference_of
from adapters.sdk import AdapterFactory, Guarantee
from schemas.errors import Rejected

#: Numbers of messages that one check may use: no two checks deliver the same one.
_NUMBERS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is checked and how.

    `settings` is the adapter's table. `patience` is how many seconds a call may take, `huge` the size of the largest
    attachment in bytes, `kills` how many processes are killed in the middle of a hand-over. `only` names the checks to
    make (empty: all). `reference` is `module:name` of the factory, if that is not its own name.
    """

    make: AdapterFactory
    probe: ProbeFactory | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    reference: str | None = None
    patience: float = 30.0
    huge: int = HUGE
    kills: int = 24
    only: Collection[str] = ()

    def checks(self) -> list[Check]:
        """Those to make. Raises Rejected: `check-unknown`."""
        known = {check.name for check in CHECKS}
        for name in self.only:
            if name not in known:
                raise Rejected("check-unknown", f"There is no check {name!r}.", mend=f"There are: {', '.join(known)}.")
        return [check for check in CHECKS if not self.only or check.name in self.only]


async def check_adapter(
    trial: Trial, *, name: str, folder: Path | None = None, tell: Callable[[CheckResult], None] = lambda _: None
) -> KitReport:
    """Make every check of `trial`; `tell` gets each result as it comes. `name` is the adapter's in the report.

    Works in `folder`, else in a temporary one that is removed. Raises Rejected: `check-unknown`. What is wrong with
    the adapter is in the report.
    """
    results: list[CheckResult] = []
    guarantee: Guarantee | None = None
    with contextlib.ExitStack() as stack:
        # On the disk, where people work: a temporary folder may be memory, which would hold the huge attachment.
        root = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="congvan-kit-")))
        for place, check in enumerate(trial.checks()):
            # So deep that a name which climbs a few folders still lands in what is looked at.
            ground = root / check.name / "a" / "b" / "c" / "d"
            ground.mkdir(parents=True)
            number = place * _NUMBERS
            ledger = Ledger()
            declared = await _make_check(trial, check, ledger, root=root / check.name, ground=ground, number=number)
            guarantee = declared or guarantee
            results.append(ledger.result(check.name, check.promise))
            tell(results[-1])
    return KitReport(adapter=name, guarantee=guarantee, results=results)


async def _make_check(
    trial: Trial, check: Check, ledger: Ledger, *, root: Path, ground: Path, number: int
) -> Guarantee | None:
    """Make `check`, noting all in `ledger`; what the adapter declares."""
    declared = None
    try:
        async with _stage(trial, root, ground, number) as stage, watched() as standstill:
            await check.run(stage, ledger)
            declared = stage.guarantee
        if standstill.seconds > LONGEST:
            ledger.broke(
                done=f"Watched the event loop during the check {check.name!r}.",
                expected=f"It never stands still for more than {LONGEST:.0f} second.",
                happened=f"It stood still for {standstill.seconds:.1f} seconds, at {standstill.place}.",
                mend="Call what blocks by asyncio.to_thread, or use a library that awaits.",
            )
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is what happened
        ledger.tried()
        ledger.broke(
            done=f"Made the check {check.name!r}: the adapter opened, used, stopped and closed.",
            expected="It opens and closes without an error.",
            happened=f"It raised {told(error)}.",
            mend="See the check `life`, which does no more than that.",
        )
    return declared


@contextlib.asynccontextmanager
async def _stage(trial: Trial, root: Path, ground: Path, number: int) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        node = StandInNode(ground / "node")
        stack.callback(node.close)
        probe = None
        if trial.probe is not None:
            software = ground / "software"
            software.mkdir()
            probe = await trial.probe(software)
            stack.push_async_callback(probe.close)
        yield Stage(
            make=trial.make,
            reference=trial.reference or reference_of(trial.make),
            settings=trial.settings,
            folder=ground / "adapter",
            node=node,
            probe=probe,
            repertoire=Repertoire(root, huge=trial.huge, number=number),
            patience=trial.patience,
            kills=trial.kills,
        )
