"""The test kit: what every adapter must bear, tried against a real one, and told in words.

`congvan adapter check module:Adapter` runs it from the command line, the pytest plugin `congvan_adapter_kit` in an
adapter's own tests, `check_adapter` from a program. An adapter's author supplies a `Probe`, by which the kit sees what
the software has got (`adapters.kit.probing`).
"""

from adapters.kit.checking import Trial, check_adapter
from adapters.kit.node import Faults, StandInNode
from adapters.kit.probing import BreakableProbe, Probe, ProbeFactory, Shown, ShownFile, SourceProbe
from adapters.kit.report import CheckResult, Finding, KitReport, Verdict
from adapters.kit.targets import factory_named, probe_named

__all__ = [
    "BreakableProbe",
    "CheckResult",
    "Faults",
    "Finding",
    "KitReport",
    "Probe",
    "ProbeFactory",
    "Shown",
    "ShownFile",
    "SourceProbe",
    "StandInNode",
    "Trial",
    "Verdict",
    "check_adapter",
    "factory_named",
    "probe_named",
]
