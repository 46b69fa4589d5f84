"""A guard of another package: what docs/guards.md shows works, and needs nothing of the node."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from adapters.guards.protocol import Passes, Refuses
from tests.adapters.guards.guarded import attachment, context, message

ROOT = Path(__file__).parents[3]


async def test_the_guard_in_the_docs_judges() -> None:
    """The example of docs/guards.md is made by its factory, refuses a draft and passes what is none."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "guards.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    guard = await names["open_no_drafts"](context("no-drafts"))
    assert await guard.judge(message(attachment("công văn.pdf"))) == Passes()
    assert isinstance(await guard.judge(message(attachment("Draft 2.pdf"))), Refuses)


def test_the_protocol_brings_no_part_of_the_node_and_no_reader_of_files() -> None:
    """To implement a guard imports neither node, hub nor certs; nor do the guards bring pyHanko into the node."""
    code = (
        "import sys, adapters.guards.protocol, adapters.guards.pdf, adapters.guards.clamav\n"
        "sys.exit(any(name.split('.')[0] in ('node', 'hub', 'certs', 'transport', 'pyhanko') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
