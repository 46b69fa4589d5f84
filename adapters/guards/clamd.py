"""A client of clamd, ClamAV's daemon: `VERSION`, `PING` and `INSTREAM` over its socket (clamd(8), COMMANDS)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.addresses import Address
from schemas.errors import Unavailable
from schemas.limits import KIB

_ANSWER: Final = 4 * KIB
_FOUND: Final = re.compile(r"stream: (?P<name>.+) FOUND")


class TooLongForClamd(Exception):  # noqa: N818 - it says what happened, as the project's errors do
    """clamd ended the stream at its `StreamMaxLength`."""


@dataclass(frozen=True, slots=True)
class Clamd:
    """clamd at a Unix socket, or at an address. `silence` is how many seconds it may take to connect, read, answer."""

    place: Path | Address
    silence: float

    async def version(self) -> str:
        """The engine's version, with that of its official signatures where it has them. Raises `scanner-down`."""
        async with self._asked(b"zVERSION\0") as (reader, _):
            return await self._answer(reader)

    async def scan(self, chunks: AsyncIterator[bytes]) -> str | None:
        """The name of what is in the stream, None if clamd finds nothing. The memory taken is that of one chunk.

        Raises TooLongForClamd; Unavailable: `scanner-down`, `scanner-failed`.
        """
        async with self._asked(b"zINSTREAM\0") as (reader, writer):
            # Read from the start: what clamd says before it cuts a long stream short would be lost with the connection.
            answering = asyncio.create_task(self._answer(reader))
            try:
                await self._send(chunks, writer, answering)
                said = await answering
            finally:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)
        if said == "stream: OK":
            return None
        if found := _FOUND.fullmatch(said):
            return found["name"]
        if said.startswith("INSTREAM size limit exceeded"):
            raise TooLongForClamd
        raise Unavailable("scanner-failed", f"clamd could not scan: {said[:200]}", mend="Look into clamd's log.")

    async def _send(
        self, chunks: AsyncIterator[bytes], writer: asyncio.StreamWriter, answering: asyncio.Task[str]
    ) -> None:
        with contextlib.suppress(OSError):
            # A cut connection is told by the answer, or by its absence.
            async for chunk in chunks:
                if answering.done():
                    return
                writer.write(len(chunk).to_bytes(4, "big") + chunk)
                async with asyncio.timeout(self.silence):
                    await writer.drain()
            writer.write(bytes(4))
            await writer.drain()

    @contextlib.asynccontextmanager
    async def _asked(self, command: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            async with asyncio.timeout(self.silence):
                if isinstance(self.place, Path):
                    reader, writer = await asyncio.open_unix_connection(self.place, limit=_ANSWER)
                else:
                    reader, writer = await asyncio.open_connection(self.place.host, self.place.port, limit=_ANSWER)
        except (OSError, TimeoutError) as error:
            raise self._down(error) from error
        try:
            writer.write(command)
            yield reader, writer
        except TimeoutError as error:
            raise self._down(error) from error
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> str:
        """What clamd says, up to its closing NUL. It says nothing until it has scanned all: its own limits bound that.

        Raises `scanner-down` for a connection that ends without an answer.
        """
        try:
            said = await reader.readuntil(b"\0")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise self._down(error) from error
        return said[:-1].decode("utf-8", errors="replace").strip()

    def _down(self, error: Exception) -> Unavailable:
        why = "it says nothing" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Unavailable(
            "scanner-down",
            f"clamd at {self.place} cannot be asked: {why}.",
            mend="Start clamav-daemon, or correct `socket` in the guard's table.",
        )
