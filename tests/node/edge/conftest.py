from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import structlog

from congvan.cli import main
from runtime.logs import LogFormat, configure_logs
from tests.node.edge.site import EnrolledNode, Hub, enrolled_node, served_node


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit status and what it said."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub.make(tmp_path_factory.mktemp("hub") / "hub")
    with hub.served():
        yield hub


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Commands configure the process's logs, which is not theirs in a test; and daemons log in threads meanwhile."""
    handlers, level = list(logging.root.handlers), logging.root.level
    configure_logs(LogFormat.TEXT, "warning")
    yield
    logging.root.handlers, logging.root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def congvan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `congvan …` in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["congvan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
        said = capsys.readouterr()
        return Ran(int(ending.value.code or 0), said.out, said.err)

    return run


_numbers = count(1)


@pytest.fixture
def new_node(hub: Hub, tmp_path: Path) -> Callable[..., EnrolledNode]:
    """Makes the node of an agency with a code of its own."""

    def make(name: str = "Cơ quan", *, address: str = "") -> EnrolledNode:
        code = f"H23.{next(_numbers)}"
        return enrolled_node(hub, code, tmp_path / code, name, address=address)

    return make


@pytest.fixture(scope="module")
def standing_node(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> EnrolledNode:
    """A node for tests that leave nothing in it."""
    return enrolled_node(hub, f"H23.{next(_numbers)}", tmp_path_factory.mktemp("standing") / "node", "Cơ quan")


@pytest.fixture
def exchange(new_node: Callable[..., EnrolledNode]) -> Iterator[tuple[EnrolledNode, EnrolledNode]]:
    """Two nodes that are served; the sender's directory has known the recipient since it was made."""
    recipient = new_node("UBND tỉnh Hải Dương")
    sender = new_node("Văn phòng Chính phủ")
    with served_node(sender.root), served_node(recipient.root):
        yield sender, recipient
