"""Finding adapters by name: those that ship, and those that other packages register (entry points `congvan.adapters`).

Nothing of an adapter is imported until it is asked for by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from adapters.sdk import Adapter, AdapterContext, AdapterFactory
from schemas.errors import Rejected

GROUP = "congvan.adapters"

#: Known also where the project runs from a checkout and nothing is registered.
_SHIPPED = (
    EntryPoint("filedrop", "adapters.filedrop:open_filedrop", GROUP),
    EntryPoint("rest", "adapters.rest:open_rest", GROUP),
    EntryPoint("vxp", "adapters.vxp:open_vxp", GROUP),
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


def load_adapter(name: str) -> AdapterFactory:
    """What makes the adapter `name`; its entry point names an AdapterFactory, or a class (`as_factory`).

    Raises Rejected: `adapter-unknown`, with the names that there are; `adapter-ambiguous`, if two packages give
    it; `adapter-broken`, if it cannot be imported.
    """
    candidates = {entry.value: entry for entry in (*_SHIPPED, *entry_points(group=GROUP)) if entry.name == name}
    if not candidates:
        known = sorted({entry.name for entry in (*_SHIPPED, *entry_points(group=GROUP))})
        raise Rejected(
            "adapter-unknown",
            f"There is no adapter {name!r}; there are: {', '.join(known)}.",
            element=f"adapters.{name}",
            mend="Correct the name in the settings, or install the package that brings the adapter.",
        )
    if len(candidates) > 1:
        raise Rejected(
            "adapter-ambiguous",
            f"Several packages bring an adapter {name!r}: {', '.join(sorted(candidates))}.",
            element=f"adapters.{name}",
            mend="Uninstall all but one.",
        )
    entry = next(iter(candidates.values()))
    try:
        factory: object = entry.load()
    except Exception as error:
        # Any error at all can come out of a foreign module's import.
        raise Rejected(
            "adapter-broken",
            f"The adapter {name!r} ({entry.value}) cannot be loaded: {error!r}.",
            element=f"adapters.{name}",
            mend="Install what it needs, or take its table out of the settings.",
        ) from error
    if not callable(factory):
        raise Rejected(
            "adapter-broken",
            f"The adapter {name!r} ({entry.value}) is nothing that can be called.",
            element=f"adapters.{name}",
            mend="Let its entry point name an AdapterFactory (adapters.sdk).",
        )
    return as_factory(factory)


def as_factory(made: Any) -> AdapterFactory:
    """`made` itself, or, if it is a class, what makes an adapter of it: its constructor takes the AdapterContext."""
    if not isinstance(made, type):
        factory: AdapterFactory = made
        return factory

    async def make(context: AdapterContext) -> Adapter:
        adapter: Adapter = made(context)
        return adapter

    return make
