"""A power cut of the process at any step loses nothing and doubles nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def surveys(way: str, folder: Path) -> list[dict[str, Any]]:
    """What was left after a death at each step of `way`; the last one did not die."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.adapters.crash_points", way, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert run.returncode == 0, run.stderr
    # Above it stand the log lines of those that died.
    found: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    assert [one["again"] for one in found] == [0] * len(found)
    assert found[-1]["status"] == 0
    return found


def test_a_death_at_any_step_of_a_hand_over_shows_the_message_once(tmp_path: Path) -> None:
    """Killed before any step, with a clerk who takes the folder away at once: one whole folder in all, no remains."""
    found = surveys("in", tmp_path)
    assert len(found) > 20
    for one in found:
        assert one["in"] == []
        assert one["archive"] == [
            "0",
            "0/attachments",
            "0/attachments/6111.pdf",
            "0/attachments/bảng số liệu.csv",
            "0/document.edxml",
            "0/sealed.xml",
            "0/summary.txt",
        ]


def test_a_death_at_any_step_of_sending_sends_once_and_puts_away_once(tmp_path: Path) -> None:
    """Killed before any step between out/ and sent/: one message, one item in sent/, one note that names it."""
    found = surveys("out", tmp_path)
    assert len(found) > 15
    for one in found:
        assert len(one["messages"]) == 1
        assert one["noted"] == one["messages"]
        assert (one["out"], one["failed"]) == ([], [])
        assert one["sent"] == ["2026-11-20", "2026-11-20/6111.edxml", "2026-11-20/6111.edxml.receipt.json"]
