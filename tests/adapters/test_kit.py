"""The test kit finds what it looks for: for each promise an adapter that breaks it, and one that breaks none."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.kit import KitReport, ProbeFactory, Trial, Verdict, check_adapter
from adapters.kit.checks import CHECKS
from adapters.loading import as_factory
from schemas.errors import Rejected
from tests.adapters import faulty

MIB = 2**20


async def report_on(
    adapter: type[faulty.Sound], *checks: str, probe: ProbeFactory | None = faulty.open_software, folder: Path
) -> KitReport:
    trial = Trial(
        make=as_factory(adapter),
        reference=f"tests.adapters.faulty:{adapter.__name__}",
        probe=probe,
        patience=5,
        huge=48 * MIB,
        kills=6,
        only=checks,
        settings={} if probe else {"folder": str(folder)},
    )
    return await check_adapter(trial, name=adapter.__name__, folder=folder)


async def test_a_sound_adapter_holds(tmp_path: Path) -> None:
    """Every check is made of an adapter that breaks nothing, and none finds anything."""
    report = await report_on(faulty.Sound, folder=tmp_path)
    assert report.words() == ""
    assert [result.name for result in report.results] == [check.name for check in CHECKS]
    unchecked = {result.name for result in report.results if result.verdict is Verdict.NOT_CHECKED}
    # Its software can neither send nor be away.
    assert unchecked == {"software", "source"}


@pytest.mark.parametrize(
    ("adapter", "check", "words"),
    [
        (faulty.Undeclared, "life", "Guarantee"),
        (faulty.Ending, "life", "ended by itself"),
        (faulty.Forgetful, "kinds", "It has it not"),
        (faulty.Silent, "empty", "which is no outcome"),
        (faulty.Doubling, "duplicates", "times under the key"),
        (faulty.Hoarding, "huge", "It rose by"),
        (faulty.Climbing, "names", "escaped-by"),
        (faulty.Overwriting, "names", "A.PDF"),
        (faulty.Refusing, "streams", "passes"),
        (faulty.Careless, "streams", "cannot have it whole"),
        (faulty.Sleeping, "empty", "faulty.py:"),
        (faulty.Hasty, "cancelled", "It has it not"),
        (faulty.Hasty, "killed", "It has it not"),
        (faulty.Doubling, "killed", "times under the key"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_fault_is_found(tmp_path: Path, adapter: type[faulty.Sound], check: str, words: str) -> None:
    """The check that is about the fault finds it, and says what happened, with the adapter's own line or key."""
    report = await report_on(adapter, check, folder=tmp_path)
    assert not report.holds
    assert words in report.words()


async def test_an_adapter_that_does_not_stop_is_found(tmp_path: Path) -> None:
    """run() that goes on after `stop` is told, and does not keep the kit from its end."""
    trial = Trial(make=as_factory(faulty.Deaf), probe=faulty.open_software, patience=0.5, only=["life"])
    report = await check_adapter(trial, name="Deaf", folder=tmp_path)
    assert "went on for" in report.words()


async def test_what_is_declared_at_least_once_may_come_twice(tmp_path: Path) -> None:
    """The same repeats that break an exactly-once adapter are in order for one that declares them, with its key."""
    report = await report_on(faulty.Repeating, "duplicates", "killed", folder=tmp_path)
    assert report.words() == ""


async def test_software_that_fetches_is_checked_too(tmp_path: Path) -> None:
    """An adapter that answers Awaiting holds if what the software confirms is settled, also across kills."""
    report = await report_on(faulty.Fetched, "kinds", "killed", probe=faulty.open_fetching, folder=tmp_path)
    assert report.words() == ""
    assert all(result.cases > 5 for result in report.results)


async def test_a_confirmation_that_is_lost_is_found(tmp_path: Path) -> None:
    """What the software has confirmed and the adapter never settled is told."""
    report = await report_on(faulty.Unsettled, "empty", probe=faulty.open_fetching, folder=tmp_path)
    assert not report.holds


async def test_without_a_probe_what_can_be_seen_is_checked(tmp_path: Path) -> None:
    """No probe: answers, memory, the disk are judged all the same, and the report says what could not be seen."""
    assert not (await report_on(faulty.Silent, "empty", probe=None, folder=tmp_path / "1")).holds
    report = await report_on(faulty.Sound, "kinds", "killed", probe=None, folder=tmp_path / "2")
    assert report.words() == ""
    assert any("no probe" in why for result in report.results for why in result.unseen)


async def test_a_check_that_there_is_not_is_named(tmp_path: Path) -> None:
    """A misspelt check is an error with the names that there are."""
    with pytest.raises(Rejected) as error:
        await report_on(faulty.Sound, "kindz", folder=tmp_path)
    assert error.value.code == "check-unknown"
