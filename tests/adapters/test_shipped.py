"""The adapters that ship pass the test kit, with all that their software lets it look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.kit import Trial, Verdict, check_adapter, factory_named, probe_named


@pytest.mark.parametrize(
    ("name", "not_checked"), [("filedrop", []), ("rest", []), ("vxp", []), ("webhook", ["source"])]
)
async def test_a_shipped_adapter_passes_the_kit(name: str, not_checked: list[str], tmp_path: Path) -> None:
    """No check finds anything, and every check is made; what is no source is not checked as one."""
    probe = probe_named(None, adapter=name)
    assert probe is not None
    trial = Trial(
        make=factory_named(name), reference=name, probe=probe, huge=48 * 2**20, kills=8 if name == "filedrop" else 4
    )
    report = await check_adapter(trial, name=name, folder=tmp_path)
    assert report.words() == ""
    assert [result.name for result in report.results if result.verdict is Verdict.NOT_CHECKED] == not_checked
