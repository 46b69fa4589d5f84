"""The whole audit: each side by itself, then all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from congvan.audit.comparison import InFlight, Sides, Stage, compared, in_flight
from congvan.audit.sources import Sources, merged
from hub.store.audit_records import HubRecord
from hub.usecases.audit import HubAudit
from node.usecases.audit import NodeAudit
from runtime.terminal import counting
from schemas.auditing import AuditFinding, Findings
from schemas.envelope import Sha256Hex

#: What is on its way is listed up to this number; all of it is counted.
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What each side's audit found, what does not fit between them, what is on its way, and who was not asked."""

    hub: tuple[str, HubAudit] | None
    nodes: Mapping[str, NodeAudit]
    compared: int
    findings: tuple[AuditFinding, ...]
    findings_count: int
    on_its_way: tuple[InFlight, ...]
    on_its_way_count: Mapping[Stage, int]
    not_checked: tuple[str, ...]

    @property
    def sides(self) -> Mapping[str, HubAudit | NodeAudit]:
        """The audit of each side, by its name."""
        hub = {f"the hub {self.hub[0]}": self.hub[1]} if self.hub else {}
        return {**hub, **{f"the node {name}": side for name, side in self.nodes.items()}}

    @property
    def unreached(self) -> Mapping[str, int]:
        """How many attachments were not looked at, by the name of the side whose database was given alone."""
        return {name: side.examined.unreached for name, side in self.sides.items() if side.examined.unreached}

    @property
    def is_clean(self) -> bool:
        return not self.findings_count and all(side.is_clean for side in self.sides.values())


async def audit(sources: Sources, *, deep: bool) -> Audit:
    """Audit all of `sources` and compare them."""
    hub: tuple[str, HubAudit] | None = None
    if sources.hub is not None:
        with counting(f"Auditing the hub {sources.hub.name}") as count:
            hub = sources.hub.name, await sources.hub.audit(deep=deep, count=count)
    nodes: dict[str, NodeAudit] = {}
    for name, source in sources.nodes.items():
        with counting(f"Auditing the node {name}") as count:
            nodes[name] = await source.audit(deep=deep, count=count)
    comparison = _Comparison(sources)
    with counting("Comparing") as count:
        of_nodes_most = max((side.examined.messages for side in nodes.values()), default=0)
        count.begin(max(of_nodes_most, hub[1].examined.messages if hub else 0))
        async for message_id, of_hub, of_nodes in merged(sources):
            await comparison.take(Sides(message_id, sources.hub is not None, frozenset(nodes), of_hub, of_nodes))
            count.advance(1)
    return Audit(
        hub=hub,
        nodes=nodes,
        compared=comparison.messages,
        findings=tuple(comparison.findings.kept),
        findings_count=comparison.findings.count,
        on_its_way=tuple(comparison.on_its_way),
        on_its_way_count=dict(comparison.stages),
        not_checked=comparison.not_checked(),
    )


@dataclass(slots=True)
class _Comparison:
    sources: Sources
    messages: int = 0
    findings: Findings = field(default_factory=Findings)
    on_its_way: list[InFlight] = field(default_factory=list)
    stages: Counter[Stage] = field(default_factory=Counter)
    connections: set[str] = field(default_factory=set)

    async def take(self, sides: Sides) -> None:
        self.messages += 1
        if sides.hub is not None:
            self.connections |= {sides.hub.connection, *sides.hub.recipients.values()}
        found = list(compared(sides))
        if found:
            # The sides were not asked at the same instant. What was said the first time is true ever after, so what
            # is missing now again is missing.
            sides = await self._asked_again(sides)
            again = {_key(finding) for finding in compared(sides)}
            self.findings.extend(finding for finding in found if _key(finding) in again)
        for flying in in_flight(sides):
            self.stages[flying.stage] += 1
            if len(self.on_its_way) < _MOST:
                self.on_its_way.append(flying)

    def not_checked(self) -> tuple[str, ...]:
        """The sides that messages went by and that were not given."""
        missing = sorted(self.connections - self.sources.nodes.keys())
        return (*(() if self.sources.hub else ("the hub",)), *(f"the node {name}" for name in missing))

    async def _asked_again(self, sides: Sides) -> Sides:
        hub: HubRecord | None = None
        if self.sources.hub is not None:
            hub = await self.sources.hub.one(sides.message_id)
        nodes = {}
        for name, source in self.sources.nodes.items():
            record = await source.one(sides.message_id)
            if record is not None:
                nodes[name] = record
        return Sides(sides.message_id, sides.has_hub, sides.asked, hub, nodes)


def _key(finding: AuditFinding) -> tuple[str, str | None, str | None, Sha256Hex | None]:
    return finding.code, finding.agency, finding.element, finding.message_id
