"""Which fault strikes whom and when: a schedule by seed, the same for the same numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HUB: Final = "hub"
#: The servers of the distributed column.
DATABASE: Final = "postgresql"
BROKER: Final = "rabbitmq"
STORAGE: Final = "seaweedfs"
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Column(StrEnum):
    """What the hub stands on: one process with its files; or two, with PostgreSQL, RabbitMQ and object storage."""

    EMBEDDED = "embedded"
    DISTRIBUTED = "distributed"


class FaultKind(StrEnum):
    KILL = "kill -9"
    REFUSE = "connections refused"
    DROP = "connections closed"
    RESET = "connections reset"
    STALL = "connections stalled"
    CUT = "cut in mid-body"
    FULL_DISK = "disk full"
    CLOCK = "clock jumps"
    CLOCK_DAYS = "clock jumps by days"
    KILL_DATABASE = "kill -9 of the database"
    WIPE_BROKER = "broker killed and wiped"
    KILL_PROCESS = "kill -9 of one process"
    KILL_BROKER = "kill -9 of the broker"
    KILL_STORAGE = "kill -9 of the storage"
    KILL_ADAPTER = "kill -9 of an adapter's process"


#: How often each kind is drawn, once every kind has had its turn.
_EMBEDDED: Final = {
    FaultKind.KILL: 40,
    FaultKind.REFUSE: 8,
    FaultKind.DROP: 8,
    FaultKind.RESET: 8,
    FaultKind.STALL: 8,
    FaultKind.CUT: 12,
    FaultKind.FULL_DISK: 8,
    FaultKind.CLOCK: 12,
    FaultKind.CLOCK_DAYS: 2,
}
_OF_SERVERS: Final = {
    FaultKind.KILL_DATABASE: 20,
    FaultKind.WIPE_BROKER: 6,
    FaultKind.KILL_PROCESS: 20,
    FaultKind.KILL_BROKER: 6,
    FaultKind.KILL_STORAGE: 10,
}
#: By column; those of servers come first, so that a short run of the distributed column has them.
WEIGHTS: Final = {Column.EMBEDDED: _EMBEDDED, Column.DISTRIBUTED: _OF_SERVERS | _EMBEDDED}
_OF_NODES: Final = {
    FaultKind.REFUSE, FaultKind.DROP, FaultKind.RESET, FaultKind.STALL, FaultKind.CUT, FaultKind.KILL_ADAPTER,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` strikes `target` once `at` letters were dropped and `delay` more seconds have gone, for `seconds`.

    `amount` is what the kind needs: the seconds by which a clock is ahead, the bytes left on a full disk, the bytes
    that a connection carries until it is cut. `target` is `hub`, `node-<code>` or a server; the network is that of the
    node.
    """

    kind: FaultKind
    target: str
    at: int
    delay: float
    seconds: float
    amount: int = 0

    def __str__(self) -> str:
        amount = f" ({self.amount:+,} s)" if self.kind in (FaultKind.CLOCK, FaultKind.CLOCK_DAYS) else ""
        return f"{self.kind} at {self.target}{amount} for {self.seconds:.1f} s"


def schedule(
    faults: int,
    documents: int,
    nodes: Sequence[str],
    seed: int,
    column: Column = Column.EMBEDDED,
    *,
    isolated: bool = False,
) -> list[Fault]:
    """`faults` faults between the first letters and the last, in order; every kind of the column occurs if there are
    enough.

    `nodes` are the names of the nodes' programs; `isolated`: their adapters have processes, which are killed too.
    """
    chance = random.Random(f"faults {seed}")
    weights = WEIGHTS[column] | ({FaultKind.KILL_ADAPTER: 30} if isolated else {})
    kinds = list(weights)[:faults]
    kinds += chance.choices(list(weights), weights=list(weights.values()), k=faults - len(kinds))
    chance.shuffle(kinds)
    moments = sorted(chance.uniform(0.05, 0.9) * documents for _ in kinds)
    return [_fault(kind, int(at), nodes, chance) for kind, at in zip(kinds, moments, strict=True)]


def _fault(kind: FaultKind, at: int, nodes: Sequence[str], chance: random.Random) -> Fault:
    anyone = (HUB, *nodes)
    target = chance.choice(nodes if kind in _OF_NODES else anyone)
    delay = chance.uniform(0, 2)
    match kind:
        case FaultKind.KILL:
            return Fault(kind, target, at, delay, chance.uniform(0.05, 2))
        case FaultKind.DROP | FaultKind.RESET | FaultKind.KILL_ADAPTER:
            return Fault(kind, target, at, delay, 0)
        case FaultKind.REFUSE | FaultKind.STALL:
            return Fault(kind, target, at, delay, chance.uniform(0.5, 6))
        case FaultKind.CUT:
            return Fault(kind, target, at, delay, chance.uniform(1, 4), chance.randrange(1_000, 400_000))
        case FaultKind.FULL_DISK:
            return Fault(kind, target, at, delay, chance.uniform(1, 5), chance.choice((0, 8_192, 262_144)))
        case FaultKind.CLOCK:
            ahead = chance.choice((1, -1)) * int(chance.choice((3, 20, 90, 300)) * MINUTE * chance.uniform(0.5, 1))
            return Fault(kind, target, at, delay, chance.uniform(1, 6), ahead)
        case FaultKind.CLOCK_DAYS:
            # Either way past what certificates are good for: a node's are issued when it enrols, for two years.
            return Fault(kind, target, at, delay, chance.uniform(2, 5), chance.choice((-5, 800)) * DAY)
        case FaultKind.KILL_PROCESS:
            return Fault(kind, HUB, at, delay, 0)
        case FaultKind.KILL_DATABASE:
            return Fault(kind, DATABASE, at, delay, chance.uniform(0.05, 3))
        case FaultKind.KILL_BROKER | FaultKind.WIPE_BROKER:
            return Fault(kind, BROKER, at, delay, chance.uniform(0.05, 3))
        case FaultKind.KILL_STORAGE:
            return Fault(kind, STORAGE, at, delay, chance.uniform(0.05, 3))
