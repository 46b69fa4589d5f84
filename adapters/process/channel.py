"""Calls in both directions over one stream: each side asks, answers, and may give up what it asked for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from adapters.process.codec import HEADER, LONGEST, frame, value_in
from schemas.errors import CongvanError, Unavailable

#: Calls of the other side that are answered at once; the next are not read until one is done.
_AT_ONCE: Final = 64

#: Answers a call by name. What it raises goes back to the caller.
Answer: TypeAlias = Callable[[str, tuple[Any, ...]], Awaitable[object]]


class Channel:
    """One end of the stream. `serve` reads it until it ends; without that no call is answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._writing = asyncio.Lock()
        self._ended = False

    async def call(self, name: str, *parts: object) -> Any:
        """What the other side answers. Raises what it raised, and Unavailable (`adapter-process-ended`)."""
        if self._ended:
            raise _gone()
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"call": number, "name": name, "parts": parts})
            return await answer
        except asyncio.CancelledError:
            if not self._ended:
                self._writer.write(frame({"cancel": number}))
            raise
        finally:
            self._asked.pop(number, None)

    async def serve(self) -> None:
        """Read until the stream ends; then every call under way has failed."""
        try:
            while True:
                await self._take(await self._received())
        except (asyncio.IncompleteReadError, OSError, ValueError, KeyError):
            # The other side is gone, or speaks something else: either way it is of no use any more.
            return
        finally:
            self._ended = True
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(_gone())
            for task in self._answering.values():
                task.cancel()
            self._writer.close()

    async def _received(self) -> dict[str, Any]:
        text, blob = HEADER.unpack(await self._reader.readexactly(HEADER.size))
        if max(text, blob) > LONGEST:
            raise ValueError("a frame that is too long")
        found: dict[str, Any] = value_in(await self._reader.readexactly(text), await self._reader.readexactly(blob))
        return found

    async def _take(self, found: dict[str, Any]) -> None:
        if "call" in found:
            await self._room.acquire()
            number = found["call"]
            task = asyncio.create_task(self._answered(number, found["name"], found["parts"]))
            self._answering[number] = task
            task.add_done_callback(lambda _: self._answering.pop(number, None))
        elif "cancel" in found:
            if (given_up := self._answering.get(found["cancel"])) is not None:
                given_up.cancel()
        else:
            answer = self._asked.get(found["answer"])
            if answer is None or answer.done():
                return
            if "failed" in found:
                answer.set_exception(found["failed"])
            else:
                answer.set_result(found["value"])

    async def _answered(self, number: int, name: str, parts: tuple[Any, ...]) -> None:
        try:
            said = {"answer": number, "value": await self._answer(name, parts)}
        except CongvanError as error:
            said = {"answer": number, "failed": error}
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is on the other side
            said = {"answer": number, "failed": Unavailable("adapter-failed", f"{type(error).__name__}: {error}")}
        finally:
            self._room.release()
        with contextlib.suppress(OSError):
            await self._send(said)

    async def _send(self, said: dict[str, Any]) -> None:
        try:
            data = frame(said)
        except TypeError as error:
            if "answer" not in said:
                raise
            data = frame({"answer": said["answer"], "failed": Unavailable("adapter-answer", str(error))})
        async with self._writing:
            self._writer.write(data)
            await self._writer.drain()


def _gone() -> Unavailable:
    return Unavailable(
        "adapter-process-ended",
        "The adapter's process has ended.",
        mend="It is started again by itself; the log says how it ended.",
    )
