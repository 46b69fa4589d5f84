"""`congvan adapter check`: the test kit, from the command line."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from adapters.kit.checking import Trial, check_adapter
from adapters.kit.report import CheckResult, KitReport, Verdict
from adapters.kit.targets import factory_named, probe_named
from congvan.adapter.tables import adapter_table
from runtime.logs import LogFormat, configure_logs
from runtime.terminal import say, show_json, show_table
from schemas.limits import MIB

_COLOURS = {Verdict.HELD: "green", Verdict.BROKE: "red", Verdict.NOT_CHECKED: "yellow"}


def check(
    adapter: Annotated[
        str,
        typer.Argument(
            metavar="ADAPTER",
            help="module:factory, module:AdapterClass, or the name of an adapter of `congvan adapter list`.",
        ),
    ],
    *,
    probe: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="The probe of the software behind it (adapters.kit.Probe)."),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its table: a TOML file, bare, or as adapters.NAME in a congvan.toml."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="CHECK", help="Make this check alone; may repeat.")] = None,
    huge: Annotated[int, typer.Option(metavar="MIB", min=1, help="Size of the huge attachment.")] = 256,
    kills: Annotated[int, typer.Option(min=0, help="How many processes to kill in the middle of a hand-over.")] = 24,
    patience: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How long a call may take.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Check an adapter against all that a node may bring: every kind of message, repeats, hostile names, crashes.

    It needs no node and no hub. What broke is told in words; exit status 1 if anything did. With a probe the kit also
    sees what the software has got; without one it checks what can be seen, and says what it could not.

    Examples: [bold]congvan adapter check filedrop[/bold],
    [bold]congvan adapter check my_package:open_archive --probe my_package.probe:open_probe[/bold]
    """
    configure_logs(LogFormat.TEXT, "critical")
    trial = Trial(
        make=factory_named(adapter),
        reference=adapter,
        probe=probe_named(probe, adapter=adapter),
        settings=adapter_table(settings, adapter) if settings else {},
        only=only or (),
        huge=huge * MIB,
        kills=kills,
        patience=patience,
    )
    with _ends_if_it_hangs(120 * patience + 10 * huge) as goes_on:
        report = asyncio.run(check_adapter(trial, name=adapter, tell=lambda _: goes_on()))
    if as_json:
        show_json(_members(report))
    else:
        _show(report)
    if not report.holds:
        raise typer.Exit(1)


@contextlib.contextmanager
def _ends_if_it_hangs(seconds: float) -> Iterator[Callable[[], None]]:
    """Give what says that it goes on. An adapter that blocks for ever cannot be stopped from within.

    If nothing was said for `seconds`, the stacks of all threads are told, and the program ends with status 1.
    """

    def goes_on() -> None:
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)

    goes_on()
    try:
        yield goes_on
    finally:
        faulthandler.cancel_dump_traceback_later()


def _show(report: KitReport) -> None:
    declared = report.guarantee.value if report.guarantee else "no guarantee"
    show_table(
        f"{report.adapter} ({declared})",
        ("check", "verdict", "cases", "promise"),
        ((result.name, result.verdict, result.cases, result.promise) for result in report.results),
    )
    unseen = {why: None for result in report.results for why in result.unseen}
    for why in unseen:
        say(f"[{_COLOURS[Verdict.NOT_CHECKED]}]Not checked:[/] {escape(why)}")
    for result, finding in report.findings:
        say(f"\n[{_COLOURS[Verdict.BROKE]}]{result.name}[/]: {escape(result.promise)}")
        for heading, text in _parts(finding.done, finding.expected, finding.happened, finding.mend):
            say(f"  {heading:<9} {escape(text)}")
    if report.holds:
        say(f"[{_COLOURS[Verdict.HELD]}]It holds[/]: {report.cases} cases.")
    else:
        say(f"\n[{_COLOURS[Verdict.BROKE]}]It does not hold[/]: {_count(report)}.")


def _count(report: KitReport) -> str:
    broken = sum(result.verdict is Verdict.BROKE for result in report.results)
    return f"{len(report.findings)} findings in {broken} of {len(report.results)} checks, {report.cases} cases"


def _parts(done: str, expected: str, happened: str, mend: str) -> tuple[tuple[str, str], ...]:
    return (("done:", done), ("expected:", expected), ("happened:", happened), ("mend:", mend))


def _members(report: KitReport) -> dict[str, object]:
    return {
        "adapter": report.adapter,
        "guarantee": report.guarantee,
        "holds": report.holds,
        "cases": report.cases,
        "checks": [_check_members(result) for result in report.results],
    }


def _check_members(result: CheckResult) -> dict[str, object]:
    return {
        "check": result.name,
        "promise": result.promise,
        "verdict": result.verdict,
        "cases": result.cases,
        "not_checked": list(result.unseen),
        "findings": [
            {"done": one.done, "expected": one.expected, "happened": one.happened, "mend": one.mend}
            for one in result.findings
        ],
    }
