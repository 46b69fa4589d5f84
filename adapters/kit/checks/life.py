"""An adapter's members, and its life from start to close."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from adapters.kit.ledger import Ledger
from adapters.kit.stage import Stage, told
from adapters.sdk import Adapter, Guarantee, Health

_MEMBERS: Final = ("deliver", "run", "health", "close")


async def life(stage: Stage, ledger: Ledger) -> None:
    for start in ("for the first time", "again, in the same folder"):
        ledger.tried()
        try:
            adapter = await stage.make_adapter()
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is what happened
            ledger.broke(
                done=f"The adapter was made {start}.",
                expected="It opens.",
                happened=f"It raised {told(error)}.",
                mend="Check the settings (--settings). A factory raises Rejected only for a setting that is wrong.",
            )
            return
        if not _has_members(adapter, ledger):
            return
        await _lived(stage, adapter, ledger)


def _has_members(adapter: Adapter, ledger: Ledger) -> bool:
    missing = [name for name in _MEMBERS if not callable(getattr(adapter, name, None))]
    if missing:
        ledger.broke(
            done="The adapter was made.",
            expected=f"It has {', '.join(_MEMBERS)}, as adapters.sdk.Adapter asks.",
            happened=f"It has no {', '.join(missing)}.",
            mend="Write them; one that has nothing to do in run() awaits stop.wait().",
        )
    if getattr(adapter, "guarantee", None) not in tuple(Guarantee):
        ledger.broke(
            done="The adapter was asked what it promises of hand-overs.",
            expected="`guarantee` is Guarantee.EXACTLY_ONCE or Guarantee.AT_LEAST_ONCE.",
            happened=f"It is {getattr(adapter, 'guarantee', None)!r}.",
            mend="Declare it in the class: guarantee = Guarantee.AT_LEAST_ONCE.",
        )
    return not missing


async def _lived(stage: Stage, adapter: Adapter, ledger: Ledger) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop), name="adapter.run")
    await asyncio.wait([running], timeout=0.2)
    if running.done():
        error = None if running.cancelled() else running.exception()
        ledger.broke(
            done="run() was called.",
            expected="It goes on until `stop` is set.",
            happened=f"It raised {told(error)}." if error else "It ended by itself.",
            mend="Let it wait for `stop` (await stop.wait()) and deal with its own errors.",
        )
    await _told_health(stage, adapter, ledger)
    stop.set()
    await asyncio.wait([running], timeout=stage.patience)
    if not running.done():
        ledger.broke(
            done="`stop` was set.",
            expected="run() ends.",
            happened=f"It went on for {stage.patience:.0f} seconds more.",
            mend="Look at `stop` wherever run() waits: for as long as it hangs, the node cannot stop.",
        )
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await running
    try:
        async with asyncio.timeout(stage.patience):
            await adapter.close()
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is what happened
        ledger.broke(
            done="close() was called.",
            expected="It lets go of everything and returns.",
            happened=f"It raised {told(error)}.",
            mend="Close each resource, also where another one cannot be closed (contextlib.AsyncExitStack).",
        )


async def _told_health(stage: Stage, adapter: Adapter, ledger: Ledger) -> None:
    try:
        async with asyncio.timeout(stage.patience):
            health: object = await adapter.health()
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is what happened
        happened = f"It raised {told(error)}."
    else:
        if isinstance(health, Health):
            return
        happened = f"It answered {health!r}."
    ledger.broke(
        done="health() was called.",
        expected="It answers a Health, soon.",
        happened=happened,
        mend="Answer from what the adapter has seen last: Health(ok=False, detail='one sentence'), without a call.",
    )
