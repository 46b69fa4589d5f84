"""What the commands share: where the hub lies, how its answers look, and who gives the order."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import typer

from hub.foundation import Foundation, open_current
from hub.settings import HubFolder
from runtime.wakeups import ring
from schemas.codes import AgencyCode

T = TypeVar("T")

Dir: TypeAlias = Annotated[
    Path, typer.Option("--dir", "-d", envvar="CONGVAN_HUB_DIR", help="The hub's folder.", show_default="here")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Code: TypeAlias = Annotated[
    AgencyCode, typer.Argument(parser=AgencyCode.parse, metavar="CODE", help="An agency's code, of today or older.")
]


def with_hub(folder: Path, question: Callable[[Foundation], Awaitable[T]]) -> T:
    """What `question` answers about the hub in `folder`."""

    async def ask() -> T:
        async with open_current(HubFolder(folder)) as foundation:
            return await question(foundation)

    return asyncio.run(ask())


def change_hub(folder: Path, order: Callable[[Foundation], Awaitable[T]]) -> T:
    """Carry out `order`, then wake the daemon, every process of it, so that it looks at once."""
    answer = with_hub(folder, order)
    for bell in HubFolder(folder).doorbells():
        ring(bell)
    return answer


def actor() -> str:
    """Who gives the order, for the audit log: the user of the system, and who became it by sudo."""
    # Not getpass: that believes the environment first.
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = f"uid {os.getuid()}"
    invoker = os.environ.get("SUDO_USER")
    return f"{invoker} as {user}" if invoker and invoker != user else user
