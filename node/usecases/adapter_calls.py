"""Calls of adapters: each within its time, counted, and where several share an agency's messages, in bounded number."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from adapters.sdk import Adapter, Delivery, Later, Outcome
from schemas.errors import CongvanError

log = structlog.get_logger()

#: Seconds after which a message comes up again for which its adapter had no place.
_SOON = 2.0


@dataclass(frozen=True, slots=True)
class Connected:
    """An adapter under the name of its table; `beside` it those at its desk, which offer what it can never take."""

    name: str
    adapter: Adapter
    beside: tuple[Connected, ...] = ()


@dataclass(slots=True)
class CallCounts:
    """What one adapter was asked since the start: by what it came to (`failed`: it raised; `timed-out`), and how long
    that took, in seconds."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    under_way: int = 0
    hangs: bool = False


class AdapterCalls:
    """Calls `deliver`. `places`: how many calls one adapter may have under way, or one while it hangs; None: any."""

    def __init__(self, places: int | None = None) -> None:
        self._places = places
        self._counts: dict[str, CallCounts] = {}

    @property
    def counts(self) -> Mapping[str, CallCounts]:
        return self._counts

    async def deliver(self, to: Connected, delivery: Delivery, *, patience: float) -> tuple[Outcome, bool]:
        """What the adapter answers within `patience` seconds, and whether it answered nothing.

        What it raises, and what is no outcome, is for later.
        """
        counts = self._counts.setdefault(to.name, CallCounts())
        if self._places is not None and counts.under_way >= (1 if counts.hangs else self._places):
            return Later(f"The adapter {to.name} is busy with others.", seconds=_SOON), False
        counts.under_way += 1
        began = time.monotonic()
        label = "cancelled"
        try:
            async with asyncio.timeout(patience):
                outcome, label = await _outcome(to.adapter, delivery)
            counts.hangs = False
            return outcome, False
        except TimeoutError:
            label = "timed-out"
            counts.hangs = True
            return Later(f"The adapter did not answer within {patience:.0f} seconds."), True
        finally:
            counts.under_way -= 1
            counts.seconds += time.monotonic() - began
            counts.outcomes[label] += 1


async def _outcome(adapter: Adapter, delivery: Delivery) -> tuple[Outcome, str]:
    try:
        answer: object = await adapter.deliver(delivery)
    except CongvanError as error:
        return Later(str(error)), "failed"
    except Exception as error:
        # Foreign code: whatever it raises, the message is kept and tried again.
        log.exception("adapter.failed", delivery=str(delivery.key))
        return Later(f"{type(error).__name__}: {error}"), "failed"
    if isinstance(answer, Outcome):
        return answer, type(answer).__name__.lower()
    log.error("adapter.failed", delivery=str(delivery.key), answer=repr(answer)[:200])
    return Later(f"The adapter answered with a {type(answer).__name__}, which is no outcome."), "failed"
