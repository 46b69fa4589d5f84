"""Finding adapters by name: those that ship, and those that other packages register (entry points `congvan.adapters`).

Nothing of an adapter is imported until it is asked for by name.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from adapters.sdk import AdapterFactory
from schemas.errors import Rejected

GROUP = "congvan.adapters"

#: Known also where the project runs from a checkout and nothing is registered.
_SHIPPED = (
    EntryPoint("filedrop", "adapters.filedrop:open_filedrop", GROUP),
    EntryPoint("vxp", "adapters.vxp:open_vxp", GROUP),
)


def load_adapter(name: str) -> AdapterFactory:
    """What makes the adapter `name`.

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
        factory: AdapterFactory = entry.load()
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
    return factory
