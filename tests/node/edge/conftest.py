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
from tests.node.edge.site import HUB_ADDRESS, Hub, served_node


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
    """Commands configure the process's logs, which is not theirs in a test."""
    handlers, level = list(logging.root.handlers), logging.root.level
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


@dataclass(frozen=True)
class EnrolledNode:
    code: str
    root: Path


@pytest.fixture
def new_node(hub: Hub, tmp_path: Path, congvan: Callable[..., Ran]) -> Callable[..., EnrolledNode]:
    """Admits an agency of a code of its own and makes its node."""

    def make(name: str = "Cơ quan", *options: object) -> EnrolledNode:
        code = f"H23.{next(_numbers)}"
        root = tmp_path / code
        token = hub.admit(code, name)
        ran = congvan(
            "node", "init", root, "--hub", hub.url, "--token", token, "--connect-to", HUB_ADDRESS,
            "--key-type", "p256", *options,
        )  # fmt: skip
        assert ran.status == 0, ran.err
        return EnrolledNode(code, root)

    return make


@pytest.fixture
def exchange(new_node: Callable[..., EnrolledNode]) -> Iterator[tuple[EnrolledNode, EnrolledNode]]:
    """Two nodes that are served."""
    sender, recipient = new_node("Văn phòng Chính phủ"), new_node("UBND tỉnh Hải Dương")
    with served_node(sender.root), served_node(recipient.root):
        yield sender, recipient
