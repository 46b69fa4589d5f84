"""Services that outlive their own faults: one that fails is started again, and the others go on meanwhile.

A daemon runs for years unattended. An error that nobody foresaw in one of its loops must neither end the others nor go
unnoticed: the log has it with its traceback, readiness names the service, a counter rises. Only what keeps a program
from starting (an address in use) ends it, for then somebody stands by.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Final

import structlog
from prometheus_client import Counter

from runtime.lifecycle import Service, sleep_unless
from schemas.errors import Unavailable

log = structlog.get_logger()

#: A failure within so many seconds of the program's start is one of starting.
_STARTING: Final = 10.0


@dataclass(frozen=True, slots=True)
class RestartTerms:
    """Seconds until a service is started again: `first`, doubled each time, at most `longest`, spread by ±20 %.

    One that has run for `settled` seconds is well again.
    """

    first: float = 1.0
    longest: float = 60.0
    settled: float = 60.0


class Supervisor:
    """Keeps services running; `restarts` counts, by service, how often each was started again."""

    def __init__(self, restarts: Counter, chance: Random, terms: RestartTerms | None = None) -> None:
        self._restarts = restarts
        self._chance = chance
        self._terms = terms or RestartTerms()
        self._faults: dict[str, str] = {}
        self._started: dict[str, float] = {}

    def keep(self, name: str, service: Service, *, must_start: bool = False) -> Service:
        """`service`, started again whenever it fails or ends by itself, until it is stopped.

        One that `must_start` fails for good if it does so right at the program's start.
        """

        async def run(stop: asyncio.Event) -> None:
            now = asyncio.get_running_loop().time
            began, failures = now(), 0
            while not stop.is_set():
                self._started[name] = now()
                try:
                    await service(stop)
                except Exception as error:
                    if must_start and now() - began < _STARTING:
                        raise
                    self._faults[name] = f"{type(error).__name__}: {error}"
                    log.exception("service.failed", service=name)
                else:
                    if stop.is_set():
                        return
                    self._faults[name] = "It ended by itself."
                    log.error("service.ended", service=name)
                failures = 1 if self._has_settled(name) else failures + 1
                self._started.pop(name)
                self._restarts.labels(name).inc()
                wait = min(self._terms.first * 2.0 ** min(failures - 1, 30), self._terms.longest)
                await sleep_unless(stop, wait * self._chance.uniform(0.8, 1.2))

        return run

    async def all_run(self) -> None:
        """A part of readiness: raises `service-failed` while a service has not settled since it failed last."""
        for name in [name for name in self._faults if self._has_settled(name)]:
            del self._faults[name]
        if self._faults:
            raise Unavailable(
                "service-failed",
                "; ".join(f"{name}: {fault}" for name, fault in self._faults.items()),
                mend="It is started again by itself; the log has the traceback, for a report.",
            )

    def is_well(self, name: str) -> bool:
        """Whether a service has not failed, or has run for a while since it did."""
        return name not in self._faults or self._has_settled(name)

    def _has_settled(self, name: str) -> bool:
        started = self._started.get(name)
        return started is not None and asyncio.get_running_loop().time() - started >= self._terms.settled
