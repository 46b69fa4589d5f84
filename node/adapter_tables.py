"""The adapters that the settings name: made, and found again by the agency they hand over to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from adapters.loading import load_adapter
from adapters.process.isolated import ProcessTerms, open_isolated
from adapters.sdk import Adapter, AdapterContext, MessageKind
from node.foundation import Foundation
from node.routing import Rules, closest, require_decided
from node.usecases.adapter_calls import Connected
from node.usecases.handover import Addressed
from runtime.settings import Settings, settings_of
from schemas.codes import AgencyCode
from schemas.errors import MalformedCode, Rejected
from schemas.limits import MIB


def _code(text: object) -> AgencyCode:
    try:
        return AgencyCode.parse(str(text))
    except MalformedCode as error:
        raise ValueError(error.message) from error


class Assignment(Settings):
    """What the node itself reads of an adapter's table."""

    adapter: str | None = None
    """Which adapter it is, where that is not the name of the table."""
    codes: tuple[Annotated[AgencyCode, PlainValidator(_code)], ...] | None = None
    """The agencies, and all below them, that it hands over to. Absent: all that no other adapter has."""
    senders: tuple[Annotated[AgencyCode, PlainValidator(_code)], ...] | None = None
    """The agencies, and all below them, whose messages it hands over. Absent: anybody's."""
    document_types: tuple[str, ...] | None = None
    """The types of document that it hands over, by name (`Công văn`), in any letters. Absent: any, and statuses."""
    kinds: tuple[MessageKind, ...] | None = None
    """`document`, `status`, or both. Absent: both."""
    desk: str | None = None
    """The table of another adapter whose software fetches its messages: this one offers the same messages, whichever
    confirms first, and is handed over only what that one can never take."""
    process: bool = False
    """Whether it runs in a process of its own, so that one which blocks, eats memory or exits harms nothing else."""
    memory_mib: int | None = Field(None, ge=256)
    """With `process`: how many MiB of address space it may have; libraries and threads take some 500 of them."""
    patience_seconds: float = Field(30.0, gt=0)
    """With `process`: how long it may answer nothing at all before it is killed and started again."""

    @property
    def rules(self) -> Rules:
        return Rules(self.codes, self.senders, self.document_types, self.kinds)


@dataclass(frozen=True, slots=True)
class OpenAdapters:
    """The adapters of one node, by the names of their tables."""

    adapters: Mapping[str, Adapter]
    assignments: Mapping[str, Assignment]

    @property
    def splits(self) -> bool:
        """Whether the messages of one agency may go to several adapters."""
        return any(one.rules.splits for one in self.assignments.values())

    def route(self, to: Addressed) -> Connected | None:
        """The adapter that a message goes to (`node.routing`); None if there is none."""
        name = closest(_rules(self.assignments), to)
        if name is None:
            return None
        beside = tuple(
            Connected(other, self.adapters[other]) for other, one in self.assignments.items() if one.desk == name
        )
        return Connected(name, self.adapters[name], beside)


async def open_adapters(node: Foundation, stack: AsyncExitStack) -> OpenAdapters:
    """Make every adapter of the settings; each is closed with `stack`.

    Raises `settings-invalid`, `adapters-overlap`, `desk-unknown`, and what `load_adapter` and the adapters raise.
    """
    assignments: dict[str, Assignment] = {}
    tables: dict[str, Mapping[str, Any]] = {}
    for name, table in node.settings.adapters.items():
        own = {key: value for key, value in table.items() if key in Assignment.model_fields}
        assignments[name] = settings_of(Assignment, own, source=f"[adapters.{name}]")
        tables[name] = {key: value for key, value in table.items() if key not in own}
    # What runs in a process of its own is not even imported here.
    factories = {
        name: load_adapter(assignment.adapter or name)
        for name, assignment in assignments.items()
        if not assignment.process
    }
    require_assignable(assignments)
    adapters: dict[str, Adapter] = {}
    for name, assignment in assignments.items():
        context = AdapterContext(
            name=name,
            settings=tables[name],
            node=node.api(name, desk=assignment.desk),
            folder=node.folder.adapter(name),
            clock=node.clock,
        )
        if assignment.process:
            terms = ProcessTerms(
                patience=assignment.patience_seconds,
                memory=assignment.memory_mib and assignment.memory_mib * MIB,
                log_format=node.settings.log.format,
                log_level=node.settings.log.level,
            )
            adapters[name] = await open_isolated(assignment.adapter or name, context, terms)
        else:
            adapters[name] = await factories[name](context)
        stack.push_async_callback(adapters[name].close)
    return OpenAdapters(adapters, assignments)


def require_assignable(assignments: Mapping[str, Assignment]) -> None:
    """Pass if it is clear which table hands over to whom. Raises `adapters-overlap`, `desk-unknown`."""
    require_decided(_rules(assignments))
    _require_desks(assignments)


def _rules(assignments: Mapping[str, Assignment]) -> Mapping[str, Rules]:
    """The tables that are handed over messages."""
    return {name: one.rules for name, one in assignments.items() if one.desk is None}


def _require_desks(assignments: Mapping[str, Assignment]) -> None:
    for name, assignment in assignments.items():
        if assignment.desk is None:
            continue
        desk = assignments.get(assignment.desk)
        if desk is None or desk.desk is not None or assignment.rules != Rules():
            raise Rejected(
                "desk-unknown",
                f"The adapter {name} is to offer what awaits {assignment.desk}.",
                element=f"adapters.{name}.desk",
                mend="Name the table of an adapter that is handed over messages itself, and give this one no rules"
                " (`codes`, …).",
            )
