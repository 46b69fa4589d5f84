"""`python -m tests.crash`: run the crash suite and say what came of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from congvan.demo.programs import COMMAND
from runtime.logs import LogFormat, configure_logs
from runtime.terminal import err, out, show_table
from schemas.errors import CongvanError
from tests.crash.connections import Kind
from tests.crash.load import CODES, volume
from tests.crash.register import Item
from tests.crash.run import Options, Run, Verdict
from tests.crash.schedule import Column
from tests.crash.site import CrashSite

#: Set in the namespaces of its own in which the suite runs.
_INSIDE = "CONGVAN_CRASH_INSIDE"
#: So many losses are told with their trace.
_TOLD = 5


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description="A hub and three nodes under load, killed, cut off, filled up and set to wrong times by a seeded "
        "schedule; then all runs dry and is audited. Exit status 1 on any loss.",
        epilog="Example: python -m tests.crash --documents 500 --faults 30 --seed 7 --json",
    )
    parser.add_argument("--documents", type=int, default=10_000, help="how many are dropped (default: %(default)s)")
    parser.add_argument("--faults", type=int, default=200, help="how many strike meanwhile (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="decides load and schedule (default: %(default)s)")
    parser.add_argument(
        "--in-flight", type=int, default=60, help="documents under way at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=300.0,
        help="seconds without progress after which a run is stuck (%(default)s)",
    )
    parser.add_argument(
        "--column",
        type=Column,
        choices=list(Column),
        default=Column.EMBEDDED,
        help="what the hub stands on: its own files, or two processes with PostgreSQL, RabbitMQ and SeaweedFS, which "
        "are killed as well; that needs root (default: %(default)s)",
    )
    parser.add_argument(
        "--adapters",
        type=kinds_of,
        default=tuple(Kind),
        metavar="KINDS",
        help=f"how the agencies' software is joined to the nodes, shared out in turn (default: {','.join(Kind)})",
    )
    parser.add_argument(
        "--isolated", action="store_true", help="give each adapter a process of its own; these are killed as well"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make logs and journals in DIR and leave them there")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser.parse_args(arguments)


def kinds_of(text: str) -> tuple[Kind, ...]:
    """The kinds that `text` names, with commas between."""
    try:
        return tuple(Kind(word.strip()) for word in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; there are {', '.join(Kind)}") from error


def main() -> int:
    options = options_of()
    if _INSIDE not in os.environ:
        return inside_namespaces()
    # Nothing of this run is seen, or left, outside: not the disks, nor what libfaketime leaves of killed processes.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)
    configure_logs(LogFormat.TEXT, "error")
    chosen = Options(
        documents=options.documents,
        faults=options.faults,
        seed=options.seed,
        in_flight=options.in_flight,
        patience=options.patience,
        column=options.column,
        kinds=options.adapters,
        isolated=options.isolated,
    )
    kept = nullcontext(str(options.keep)) if options.keep else tempfile.TemporaryDirectory(prefix="congvan-crash-")
    with kept as name:
        Path(name).mkdir(parents=True, exist_ok=True)
        verdict = asyncio.run(crash(chosen, Path(name)))
    tell(verdict, chosen, as_json=options.json)
    return 0 if verdict.holds else 1


def inside_namespaces() -> int:
    """Run the suite where it may mount small disks, and where everything it started ends with it."""
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *own_user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    again = [sys.executable, "-m", "tests.crash", *sys.argv[1:]]
    return subprocess.run([*command, *again], env=os.environ | {_INSIDE: "1"}, check=False).returncode


async def crash(options: Options, folder: Path) -> Verdict:
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err,
        disable=not err.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("documents", total=options.documents)

        def progress(dropped: int, came: int) -> None:
            bar.update(task, completed=dropped, description=f"documents ({came} items came out)")

        size = volume(options.documents, options.seed)
        async with CrashSite(folder, size, options.column, options.kinds, options.isolated) as site:
            run = Run(options, folder, progress)
            verdict = await run.run(site)
            for item in (*verdict.lost, *verdict.twice)[:_TOLD]:
                await show_traces(site, run, item)
        return verdict


async def show_traces(site: CrashSite, run: Run, item: Item) -> None:
    """What hub and nodes know of the messages that `item` was sent as."""
    out.print(f"\n{item}", style="bold", markup=False)
    for message_id in sorted(run.register.message_ids(item)):
        await command("hub", "trace", message_id, "--dir", str(site.site.hub_folder))
        for code in CODES:
            await command("node", "show", message_id, "--dir", str(site.site.node_folder(code)))


async def command(*arguments: str) -> None:
    out.print(f"$ congvan {' '.join(arguments)}", markup=False)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    out.print(said.decode().rstrip(), markup=False)


def tell(verdict: Verdict, options: Options, *, as_json: bool) -> None:
    counted = Counter((fault.kind.value, fault.target) for fault in verdict.struck)
    targets = sorted({target for _, target in counted})
    kinds = sorted({kind for kind, _ in counted})
    rows = [
        (kind, *(counted[kind, target] for target in targets), sum(counted[kind, t] for t in targets)) for kind in kinds
    ]
    show_table("Faults", ("fault", *targets, "all"), rows)
    for end in verdict.ends:
        why = " (its disk was full, or a server was away)" if end.explained else ""
        out.print(f"{end.program} ended by itself, with status {end.status}{why}.")
    for heading, sentences in (
        ("Lost", verdict.lost), ("Twice", verdict.twice), ("Receipts missing", verdict.missing),
        ("Overtaken, which may be", verdict.overtaken), ("Faults", verdict.faults), ("Audit", verdict.findings),
        ("Stuck", verdict.stuck),
    ):  # fmt: skip
        for sentence in sentences[:50]:
            out.print(f"{heading}: {sentence}", markup=False)
    if as_json:
        line = {
            "documents": verdict.documents,
            "faults": len(verdict.struck),
            "lost": len(verdict.lost),
            "twice": len(verdict.twice),
            "receipts_missing": len(verdict.missing),
            "seed": options.seed,
            "seconds": round(verdict.seconds, 1),
        }
        out.print(json.dumps(line), markup=False)
    else:
        word = "Nothing was lost, nothing came twice" if verdict.holds else "It does not hold"
        counts = f"{verdict.documents} documents, {verdict.items} items, {len(verdict.struck)} faults"
        out.print(f"{word}: {counts}, {verdict.seconds:.0f} s.")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CongvanError as error:
        sys.exit(str(error))
