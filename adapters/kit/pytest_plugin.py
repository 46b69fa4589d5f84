"""The kit in an adapter's own tests: the pytest plugin `congvan_adapter_kit`, found by pytest itself once installed.

    def test_the_adapter_keeps_its_promises(check_adapter):
        check_adapter(open_archive, probe=open_probe)

`congvan_node` is a node to write tests of one's own against. Nothing of the kit is imported before a test asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from adapters.kit.node import StandInNode
    from adapters.kit.probing import ProbeFactory
    from adapters.kit.report import KitReport
    from adapters.sdk import AdapterFactory


class CheckAdapter(Protocol):
    """What the fixture `check_adapter` gives; the arguments are those of `adapters.kit.Trial`."""

    def __call__(
        self,
        make: AdapterFactory,
        *,
        probe: ProbeFactory | None = None,
        settings: Mapping[str, object] | None = None,
        reference: str | None = None,
        only: Collection[str] = (),
        **more: float,
    ) -> KitReport: ...


@pytest.fixture
def check_adapter(tmp_path: Path) -> CheckAdapter:
    """Check an adapter; the test fails with what broke, in words. Gives the report, for what was not checked.

    To be called outside of an event loop: it runs one.
    """

    def check(
        make: AdapterFactory,
        *,
        probe: ProbeFactory | None = None,
        settings: Mapping[str, object] | None = None,
        reference: str | None = None,
        only: Collection[str] = (),
        **more: float,
    ) -> KitReport:
        from adapters.kit import checking  # noqa: PLC0415 - see the module's docstring

        trial = checking.Trial(
            make=make,
            probe=probe,
            settings=settings or {},
            reference=reference,
            only=only,
            **more,  # type: ignore[arg-type]  # patience, huge, kills: Trial names what it does not know
        )
        name = getattr(make, "__qualname__", repr(make))
        report = asyncio.run(checking.check_adapter(trial, name=name, folder=tmp_path / "kit"))
        if not report.holds:
            pytest.fail(f"{name} does not hold.\n\n{report.words()}", pytrace=False)
        return report

    return check


@pytest.fixture
def congvan_node(tmp_path: Path) -> Iterator[StandInNode]:
    """A stand-in node with a folder of its own: `congvan_node.context(folder, settings)` is what a factory takes."""
    from adapters.kit.node import StandInNode  # noqa: PLC0415 - see the module's docstring

    node = StandInNode(tmp_path / "congvan-node")
    yield node
    node.close()


@pytest.fixture
def congvan_cases(tmp_path: Path) -> Callable[[], Iterator[object]]:
    """One message of each kind, as `adapters.kit.messages.Case`: `case.delivery` is what an adapter gets."""
    from adapters.kit.messages import Repertoire  # noqa: PLC0415 - see the module's docstring

    return Repertoire(tmp_path).every_kind
