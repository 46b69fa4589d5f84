"""`python -m adapters.process FD`: one adapter, for the node at the other end of the socket FD."""

from __future__ import annotations

import asyncio
import ctypes
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

from adapters.loading import load_adapter
from adapters.process.channel import Channel
from adapters.process.remote_node import RemoteNode
from adapters.sdk import Adapter, AdapterContext
from runtime.clock import utc_now
from runtime.logs import LogFormat, configure_logs
from schemas.codes import AgencyCode
from schemas.errors import Rejected

#: prctl(2): the signal that this process gets when the node is gone, however it went.
_PR_SET_PDEATHSIG: Final = 1


class AdapterProcess:
    """Answers the node's calls: `open` first, then the adapter's own methods."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self._adapter: Adapter | None = None
        self._node: RemoteNode | None = None
        self._stop = asyncio.Event()

    async def answer(self, name: str, parts: tuple[Any, ...]) -> object:
        if name == "open":
            await self._open(*parts)
            return None
        if name == "ping":
            return None
        if self._adapter is None or self._node is None:
            raise Rejected("adapter-not-open", f"{name} was called before open.")
        match name:
            case "serves":
                self._node.served = parts[0]
                return None
            case "deliver":
                return await self._adapter.deliver(parts[0])
            case "run":
                self._stop.clear()
                await self._adapter.run(self._stop)
                return None
            case "stop":
                self._stop.set()
                return None
            case "health":
                return await self._adapter.health()
            case "close":
                await self._adapter.close()
                return None
        raise Rejected("call-unknown", f"There is no call {name!r}.")

    async def _open(
        self,
        adapter: str,
        place: tuple[str, dict[str, object], Path],
        served: tuple[AgencyCode, ...],
        memory: int | None,
    ) -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        assert self.channel is not None  # noqa: S101 - it is what this call came over
        self._node = RemoteNode(self.channel, served)
        name, settings, folder = place
        context = AdapterContext(name=name, settings=settings, node=self._node, folder=folder, clock=utc_now)
        self._adapter = await load_adapter(adapter)(context)


async def _serve(number: int) -> None:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=number))
    process = AdapterProcess()
    process.channel = Channel(reader, writer, process.answer)
    await process.channel.serve()


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    configure_logs(LogFormat(sys.argv[2]), sys.argv[3])
    asyncio.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
