"""What the commands share: where the node lies, how its answers look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeAlias, TypeVar

import typer

from node.foundation import Foundation, open_current
from node.settings import NodeFolder
from node.usecases.ownership import require_own_database
from runtime.wakeups import ring
from schemas.codes import AgencyCode
from schemas.envelope import Override
from schemas.errors import Rejected

T = TypeVar("T")

Dir: TypeAlias = Annotated[
    Path, typer.Option("--dir", "-d", envvar="CONGVAN_NODE_DIR", help="The node's folder.", show_default="here")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
All: TypeAlias = Annotated[
    bool, typer.Option("--all", help="Every recipient and receipt, however many a circular has.")
]
#: Recipients, and receipts, that are shown of one message without --all.
SHOWN: Final = 100
FromCode: TypeAlias = Annotated[
    AgencyCode | None,
    typer.Option(
        "--from",
        parser=AgencyCode.parse,
        metavar="CODE",
        help="The agency that sends; needed only where the node serves several.",
    ),
]

OverrideReason: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--override",
        metavar="WHY",
        help="Send it although a guard reads a mark of secrecy in it: why that may be. Signed with the document.",
    ),
]
OverrideBy: TypeAlias = Annotated[
    str | None, typer.Option("--override-by", metavar="WHO", help="Who answers for --override, by name and office.")
]


def override_of(reason: str | None, by: str | None) -> Override | None:
    """The override that the two options name; None if neither is given. Raises `option-missing` for half of it."""
    if reason is None and by is None:
        return None
    if not (reason or "").strip() or not (by or "").strip():
        raise Rejected(
            "option-missing",
            "An override says why, and who answers for it.",
            mend="Give both --override WHY and --override-by WHO.",
        )
    return Override(by=(by or "").strip(), reason=(reason or "").strip())


def with_node(folder: Path, question: Callable[[Foundation], Awaitable[T]]) -> T:
    """What `question` answers about the node in `folder`."""

    async def ask() -> T:
        async with open_current(NodeFolder(folder)) as foundation:
            await require_own_database(foundation.database, foundation.identity)
            await foundation.directory.load()
            return await question(foundation)

    return asyncio.run(ask())


def wake_daemon(node: Foundation) -> bool:
    """Let the daemon look for work at once; False if none runs."""
    return ring(node.folder.doorbell)
