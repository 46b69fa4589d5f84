"""Finding adapters and guards by name: those that ship, and those that other packages register as entry points.

Nothing of one is imported until it is asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from adapters.guards.protocol import GuardFactory
from adapters.sdk import Adapter, AdapterContext, AdapterFactory
from schemas.errors import Rejected

GROUP = "congvan.adapters"
GUARDS = "congvan.guards"

#: Known also where the project runs from a checkout and nothing is registered.
_SHIPPED = (
    EntryPoint("filedrop", "adapters.filedrop:open_filedrop", GROUP),
    EntryPoint("rest", "adapters.rest:open_rest", GROUP),
    EntryPoint("vxp", "adapters.vxp:open_vxp", GROUP),
    EntryPoint("webhook", "adapters.webhook:open_webhook", GROUP),
)
_SHIPPED_GUARDS = (
    EntryPoint("secrecy", "adapters.guards.secrecy:open_secrecy", GUARDS),
    EntryPoint("file-types", "adapters.guards.file_types:open_file_types", GUARDS),
    EntryPoint("clamav", "adapters.guards.clamav:open_clamav", GUARDS),
    EntryPoint("pdf-signatures", "adapters.guards.pdf:open_pdf_signatures", GUARDS),
)


@dataclass(frozen=True, slots=True)
class KnownAdapter:
    """An adapter that settings may name: `value` is `module:name` of its factory, `package` what brings it."""

    name: str
    value: str
    package: str


def known_adapters() -> list[KnownAdapter]:
    """The adapters that there are, by name; one that ships is named once, though it is registered too."""
    found = {entry.value: entry for entry in (*_SHIPPED, *entry_points(group=GROUP))}
    known = [KnownAdapter(one.name, one.value, one.dist.name if one.dist else "congvan") for one in found.values()]
    return sorted(known, key=lambda one: one.name)


@dataclass(frozen=True, slots=True)
class _Sort:
    """What can be found by its name: the group of its entry points, what ships, and the rules that can be broken."""

    noun: str
    group: str
    shipped: Sequence[EntryPoint]
    unknown: str
    ambiguous: str
    broken: str

    def entries(self) -> tuple[EntryPoint, ...]:
        return (*self.shipped, *entry_points(group=self.group))


_ADAPTERS = _Sort("adapter", GROUP, _SHIPPED, "adapter-unknown", "adapter-ambiguous", "adapter-broken")
_GUARDS = _Sort("guard", GUARDS, _SHIPPED_GUARDS, "guard-unknown", "guard-ambiguous", "guard-broken")


def load_adapter(name: str) -> AdapterFactory:
    """What makes the adapter `name`; its entry point names an AdapterFactory, or a class (`as_factory`).

    Raises Rejected: `adapter-unknown`, with the names that there are; `adapter-ambiguous`, if two packages give
    it; `adapter-broken`, if it cannot be imported.
    """
    return as_factory(_load(_ADAPTERS, name))


def load_guard(name: str) -> GuardFactory:
    """What makes the guard `name`; raises `guard-unknown`, `guard-ambiguous` and `guard-broken`, as `load_adapter`."""
    factory: GuardFactory = _load(_GUARDS, name)
    return factory


def _load(sort: _Sort, name: str) -> Any:
    candidates = {entry.value: entry for entry in sort.entries() if entry.name == name}
    if not candidates:
        raise Rejected(
            sort.unknown,
            f"There is no {sort.noun} {name!r}; there are: {', '.join(sorted({one.name for one in sort.entries()}))}.",
            element=f"{sort.noun}s.{name}",
            mend=f"Correct the name in the settings, or install the package that brings the {sort.noun}.",
        )
    if len(candidates) > 1:
        raise Rejected(
            sort.ambiguous,
            f"Several packages bring the {sort.noun} {name!r}: {', '.join(sorted(candidates))}.",
            element=f"{sort.noun}s.{name}",
            mend="Uninstall all but one.",
        )
    entry = next(iter(candidates.values()))
    try:
        factory = entry.load()
    except Exception as error:
        # Any error at all can come out of a foreign module's import.
        raise Rejected(
            sort.broken,
            f"The {sort.noun} {name!r} ({entry.value}) cannot be loaded: {error!r}.",
            element=f"{sort.noun}s.{name}",
            mend="Install what it needs, or take its table out of the settings.",
        ) from error
    if not callable(factory):
        raise Rejected(
            sort.broken,
            f"The {sort.noun} {name!r} ({entry.value}) is nothing that can be called.",
            element=f"{sort.noun}s.{name}",
            mend="Let its entry point name what makes one: an AdapterFactory, a GuardFactory.",
        )
    return factory


def as_factory(made: Any) -> AdapterFactory:
    """`made` itself, or, if it is a class, what makes an adapter of it: its constructor takes the AdapterContext."""
    if not isinstance(made, type):
        factory: AdapterFactory = made
        return factory

    async def make(context: AdapterContext) -> Adapter:
        adapter: Adapter = made(context)
        return adapter

    return make
