"""What is checked, and how it is seen: `module:name`, or the name of an adapter that is registered."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

from adapters.kit.probing import ProbeFactory
from adapters.loading import as_factory, load_adapter
from adapters.sdk import AdapterFactory
from schemas.errors import Rejected

#: Under it a package registers the probe of its adapter, by the adapter's name.
PROBE_GROUP: Final = "congvan.adapter_probes"

#: Known also where the project runs from a checkout and nothing is registered.
_SHIPPED_PROBES: Final = tuple(
    EntryPoint(name, f"adapters.{name}.probe:open_probe", PROBE_GROUP)
    for name in ("filedrop", "rest", "vxp", "webhook")
)


def factory_named(target: str) -> AdapterFactory:
    """The factory that `target` names: `module:factory`, `module:AdapterClass`, or the name of an adapter.

    The constructor of a class takes the AdapterContext. Raises `adapter-unknown`, `adapter-ambiguous`,
    `adapter-broken`.
    """
    if ":" not in target:
        return load_adapter(target)
    return as_factory(_imported(target))


def probe_named(target: str | None, *, adapter: str) -> ProbeFactory | None:
    """The probe that `target` (`module:factory`) names; without it, the one registered under the adapter's name.

    None if there is none. Raises `adapter-broken`.
    """
    target = target or probe_target(adapter)
    if target is None:
        return None
    made: ProbeFactory = _imported(target)
    return made


def probe_target(adapter: str) -> str | None:
    """`module:factory` of the probe that is registered under the adapter's name, None if none is."""
    registered = (*entry_points(group=PROBE_GROUP), *_SHIPPED_PROBES)
    return next((entry.value for entry in registered if entry.name == adapter), None)


def reference_of(make: Callable[..., object]) -> str | None:
    """`module:name` by which another process finds `make`; None if that leads elsewhere, or nowhere."""
    name = getattr(make, "__qualname__", "")
    module = sys.modules.get(getattr(make, "__module__", ""))
    if not name or module is None or not name.isidentifier() or getattr(module, name, None) is not make:
        return None
    try:
        found = importlib.util.find_spec(module.__name__)
    except (ImportError, ValueError):
        return None
    # A test's module may stand in sys.modules under a name that no import leads to.
    same = found is not None and found.origin == getattr(module, "__file__", None)
    return f"{module.__name__}:{name}" if same else None


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    # As `python -m` does: what is being written lies in the folder where one works.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(module), name)
    except Exception as error:
        # Any error at all can come out of a foreign module's import.
        raise Rejected(
            "adapter-broken",
            f"{target} cannot be imported: {error!r}.",
            mend="Give module:name, the module importable from the folder where you are.",
        ) from error
    if not callable(made):
        raise Rejected("adapter-broken", f"{target} is nothing that can be called.", mend="Name an AdapterFactory.")
    return made
