"""The rows, by what they look at. `MEASUREMENTS` has them in the order of the table."""

from __future__ import annotations

from typing import Final

from benchmarks.measurement import Measurement
from benchmarks.measures.attachment import LargeAttachment
from benchmarks.measures.broadcast import Broadcast
from benchmarks.measures.crowded import CrowdedFolder
from benchmarks.measures.directory_change import DirectoryChange
from benchmarks.measures.distributed import Distributed
from benchmarks.measures.exchanging import ProcessorTime
from benchmarks.measures.express import Express
from benchmarks.measures.growth import Growth
from benchmarks.measures.hub_processor import HubProcessor
from benchmarks.measures.processes import Processes
from benchmarks.measures.throughput import Throughput
from benchmarks.measures.waiting import WaitingNodes
from benchmarks.measures.waking import WakingUp
from benchmarks.measures.way_back import WayBack

MEASUREMENTS: Final[tuple[Measurement, ...]] = (
    Throughput(),
    Distributed(),
    Processes(),
    HubProcessor(),
    ProcessorTime(),
    LargeAttachment(),
    Broadcast(),
    WayBack(),
    WaitingNodes(),
    DirectoryChange(),
    WakingUp(),
    Express(),
    Growth(),
    CrowdedFolder(),
)
