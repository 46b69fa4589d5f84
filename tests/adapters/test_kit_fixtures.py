"""The fixtures of the kit's pytest plugin, as an adapter's author uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.kit import StandInNode
from adapters.kit.messages import Case
from adapters.kit.pytest_plugin import CheckAdapter, check_adapter, congvan_cases, congvan_node
from adapters.loading import as_factory
from adapters.sdk import Accepted
from tests.adapters import faulty

#: As the plugin gives them where it is registered; named here, they are found in any checkout.
__all__ = ["check_adapter", "congvan_cases", "congvan_node"]


def test_an_adapter_that_breaks_a_promise_fails_its_test_in_words(check_adapter: CheckAdapter) -> None:
    """The failure of the test is the finding: what was done, what happened, what mends it."""
    with pytest.raises(pytest.fail.Exception) as failure:
        check_adapter(as_factory(faulty.Forgetful), probe=faulty.open_software, only=["empty"])
    assert "It has it not" in str(failure.value)
    assert "mend:" in str(failure.value)


def test_an_adapter_that_holds_gives_its_report(check_adapter: CheckAdapter) -> None:
    """A test that passes can still ask what could not be checked."""
    report = check_adapter(as_factory(faulty.Sound), probe=faulty.open_software, only=["empty", "source"])
    assert [(one.name, bool(one.unseen)) for one in report.results] == [("empty", False), ("source", True)]


async def test_a_test_of_one_s_own_has_a_node_and_messages(
    congvan_node: StandInNode, congvan_cases: Callable[[], Iterator[Case]], tmp_path: Path
) -> None:
    """The stand-in node makes an adapter's context and knows the attachments of each kind of message."""
    adapter = faulty.Sound(congvan_node.context(tmp_path / "adapter", {"folder": str(tmp_path)}))
    cases = list(congvan_cases())
    congvan_node.know(cases)
    assert [await adapter.deliver(case.delivery) for case in cases] == [Accepted()] * len(cases)
    assert len(await faulty.Software(tmp_path).shown()) == len(cases)
