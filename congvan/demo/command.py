"""The command: options, the temporary folder, Ctrl-C."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from congvan.demo.scenario import Demo
from congvan.demo.telling import Teller
from runtime.clock import utc_now
from runtime.lifecycle import stop_on_signals
from runtime.logs import LogFormat, configure_logs

app = typer.Typer()


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the table, instead of staying up.")] = False,
    adapters: Annotated[
        bool, typer.Option("--adapters", help="Open the APIs for software of G22 and H23, and say how to reach them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line for each event.")] = False,
) -> None:
    """Watch a document travel: a hub and three agencies on this machine, each a process of its own.

    Văn phòng Chính phủ (G22) sends a circular with a PDF and a CSV to Hải Dương (H23) and Hưng Yên (H31). Everything
    lives in a temporary folder and speaks over mutual TLS on 127.0.0.1. Then it stays up for you to try things,
    until Ctrl-C.

    With --adapters existing software can be pointed at it: when the story is told, the nodes of G22 and H23 answer the
    APIs of the adapters rest and vxp on 127.0.0.1, and keep what comes for the software to fetch.

    Example: [bold]congvan demo --once[/bold]
    Example: [bold]congvan demo --adapters[/bold]
    """
    configure_logs(LogFormat.TEXT, "error")
    teller = Teller(utc_now, as_json)
    with tempfile.TemporaryDirectory(prefix="congvan-demo-") as folder:
        played = asyncio.run(_run(Demo(Path(folder), teller, adapters=adapters), stay=not once))
    if once and not played:
        # Whoever waits for the balance must not take its absence for success.
        raise typer.Exit(130)


async def _run(scenario: Demo, *, stay: bool) -> bool:
    stop = asyncio.Event()
    with stop_on_signals(stop):
        return await scenario.run(stop, stay=stay)
