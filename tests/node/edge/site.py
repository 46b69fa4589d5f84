"""A real hub and real nodes, each on an event loop of its own in a thread: commands run beside them as they do."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from certs.enrolment_token import EnrolmentToken
from hub.app import serve as serve_hub
from hub.foundation import Foundation as HubFoundation
from hub.foundation import open_foundation as open_hub
from hub.initialisation import NewHub
from hub.initialisation import initialise as initialise_hub
from hub.settings import HubFolder
from hub.usecases.agencies import NewAgency
from node.app import serve as serve_node
from node.initialisation import NewNode
from node.initialisation import initialise as initialise_node
from node.settings import NodeFolder
from node.usecases.enrolment import KeyType
from runtime.clock import utc_now
from runtime.wakeups import ring
from schemas.codes import AgencyCode

T = TypeVar("T")

HUB_NAME = "hub.example.test"
HUB_ADDRESS = "127.0.0.2"

#: Seconds until something on this machine, however busy, has gone wrong.
PATIENCE = 60


@contextlib.contextmanager
def threaded(serve: Callable[[asyncio.Event], Awaitable[None]]) -> Iterator[None]:
    """Run `serve` in a thread until left; what it raises is raised here."""
    loop_and_stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    begun = threading.Event()
    failures: list[BaseException] = []

    async def run() -> None:
        stop = asyncio.Event()
        loop_and_stop.append((asyncio.get_running_loop(), stop))
        begun.set()
        await serve(stop)

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test's thread
            failures.append(error)
            begun.set()

    thread = threading.Thread(target=main)
    thread.start()
    begun.wait(PATIENCE)
    try:
        yield
    finally:
        loop, stop = loop_and_stop[0]
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        if failures:
            raise failures[0]


@dataclass
class Hub:
    """A hub that is served while the test runs."""

    folder: HubFolder
    port: int = 0
    listening: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def make(cls, root: Path) -> Hub:
        hub = cls(HubFolder(root))
        new = NewHub(name=HUB_NAME, listen=f"{HUB_ADDRESS}:0")
        asyncio.run(initialise_hub(hub.folder, new, clock=utc_now))
        return hub

    @property
    def url(self) -> str:
        return f"https://{HUB_NAME}:{self.port}"

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        def announce(_settings: object, address: object) -> None:
            self.port = int(str(address).rpartition(":")[2])
            self.listening.set()

        with threaded(lambda stop: serve_hub(self.folder, stop, announce=announce)):
            assert self.listening.wait(PATIENCE)
            yield

    def ask(self, question: Callable[[HubFoundation], Awaitable[T]]) -> T:
        async def run() -> T:
            async with open_hub(self.folder) as foundation:
                return await question(foundation)

        answer = asyncio.run(run())
        ring(self.folder.doorbell())
        return answer

    def admit(self, code: str, name: str = "Cơ quan", *, served_by: str | None = None) -> str:
        """Add an agency; gives the token for its node, nothing if another connection serves it."""
        new = NewAgency(AgencyCode(code), name, (), served_by)
        token = self.ask(lambda hub: hub.agencies.add(new, actor="test")).token
        return token.text if token else ""


@dataclass(frozen=True)
class EnrolledNode:
    code: str
    root: Path


def enrolled_node(hub: Hub, code: str, root: Path, name: str, *, address: str = "") -> EnrolledNode:
    """Admit the agency `code` and make its node in `root`."""
    new = NewNode(
        hub=hub.url,
        token=EnrolmentToken.parse(hub.admit(code, name)),
        address=address,
        connect_to=HUB_ADDRESS,
        key_type=KeyType.P256,
    )
    asyncio.run(initialise_node(NodeFolder(root), new, clock=utc_now))
    return EnrolledNode(code, root)


@contextlib.contextmanager
def served_node(root: Path) -> Iterator[None]:
    """The node in `root`, served; it answers its doorbell when this gives way."""
    folder = NodeFolder(root)
    with threaded(lambda stop: serve_node(folder, stop)):
        until(lambda: ring(folder.doorbell))
        yield


def until(condition: Callable[[], Any]) -> Any:
    """What `condition` gives, once it gives something."""
    ends_at = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < ends_at, "it never came to be"
        time.sleep(0.05)
    return answer
