"""The worked example of filedrop.md is run in a shell as it stands on the page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

from adapters.filedrop import open_filedrop
from adapters.kit.messages import Repertoire
from adapters.kit.node import StandInNode
from adapters.sdk import Accepted
from tests.adapters.conftest import until

PAGE = Path(__file__).parents[2] / "docs" / "adapters" / "filedrop.md"


def example() -> list[str]:
    """The console blocks of the example, in their order."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## A worked example\n")[2].partition("\n## ")[0]
    return re.findall(r"^```console\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)


def steps(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, with what the page shows below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        # A here-document is part of its command; what a command without one is followed by is its output.
        lines = part.splitlines(keepends=True)
        count = lines.index("EOF\n") + 1 if "<<'EOF'" in lines[0] else 1
        yield "".join(lines[:count]), "".join(lines[count:])


async def shown_is_said(block: str, root: Path) -> None:
    """Run the commands of `block`, the page's /srv being `root`; each says what the page shows."""
    for command, shown in steps(block):
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-euc",
            command.replace("/srv/", f"{root}/"),
            cwd=root,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
        said, _ = await shell.communicate()
        assert (shell.returncode, said.decode()) == (0, shown), command


async def test_the_worked_example_does_what_the_page_says(tmp_path: Path) -> None:
    """A folder dropped by the page's commands is sent; what arrives is taken away by them, and does not come back."""
    sending, sent, receiving = example()
    (tmp_path / "bao-cao.pdf").write_bytes(b"%PDF-1.4")
    node = StandInNode(tmp_path / "node")
    settings: dict[str, object] = {"folder": str(tmp_path / "vanban"), "poll_seconds": 0.05, "settle_seconds": 0.1}
    adapter = await open_filedrop(node.context(tmp_path / "adapter", settings))
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop))

    await shown_is_said(sending, tmp_path)
    await until(lambda: any((tmp_path / "vanban" / "sent").glob("*/bao-cao")))
    await shown_is_said(sent, tmp_path)
    assert len(node.record.submissions()) == 1

    case = Repertoire(tmp_path).ordinary()
    node.know([case])
    assert await adapter.deliver(case.delivery) == Accepted()
    await shown_is_said(receiving, tmp_path)
    assert await adapter.deliver(case.delivery) == Accepted()
    assert list((tmp_path / "vanban" / "in").iterdir()) == []

    stop.set()
    await running
    await adapter.close()
    node.close()
