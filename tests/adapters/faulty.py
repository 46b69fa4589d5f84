"""Adapters that each break one promise, over one piece of software: a folder with a file for each appearance."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.kit import Shown, ShownFile
from adapters.sdk import (
    Accepted,
    AdapterContext,
    Awaiting,
    Delivery,
    DeliveryKey,
    Guarantee,
    Health,
    Outcome,
    Refused,
)
from runtime.files import write_file
from schemas.errors import Unavailable


class Software:
    """A probe: every file of the folder is an appearance of the message that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings(self) -> Mapping[str, object]:
        return {"folder": str(self.folder)}

    async def take(self) -> None: ...

    async def shown(self) -> Sequence[Shown]:
        notes = [json.loads(path.read_text()) for path in self.folder.glob("*.json")]
        return [Shown(note["key"], tuple(ShownFile(*file) for file in note["files"])) for note in notes]

    async def close(self) -> None: ...


async def open_software(folder: Path) -> Software:
    return Software(folder)


class Sound:
    """It breaks nothing: streams attachments, and commits the message by one rename to a name that is its key."""

    guarantee = Guarantee.EXACTLY_ONCE

    def __init__(self, context: AdapterContext) -> None:
        self.context = context
        self.software = Path(str(context.settings["folder"]))

    async def deliver(self, delivery: Delivery) -> Outcome:
        await self.keep(delivery, await self.files(delivery), f"{delivery.key}.json")
        return Accepted()

    async def files(self, delivery: Delivery) -> list[tuple[str, str]]:
        found = []
        for attachment in delivery.attachments:
            digest = hashlib.sha256()
            async with self.context.node.open_attachment(attachment.digest) as chunks:
                async for chunk in chunks:
                    digest.update(chunk)
            found.append((attachment.name, digest.hexdigest()))
        return found

    async def keep(self, delivery: Delivery, files: list[tuple[str, str]], name: str) -> None:
        note = {"key": str(delivery.key), "files": files}
        await asyncio.to_thread(write_file, self.software / name, json.dumps(note).encode())

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


class Forgetful(Sound):
    """Says Accepted and keeps nothing."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Accepted()


class Doubling(Sound):
    """Declares exactly-once and shows a message as often as it gets it."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        await self.keep(delivery, await self.files(delivery), f"{secrets.token_hex(8)}.json")
        return Accepted()


class Repeating(Doubling):
    """The same, and says so."""

    guarantee = Guarantee.AT_LEAST_ONCE


class Hasty(Sound):
    """Notes the key first and the message afterwards: a crash in between loses it."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        mark = self.context.folder / str(delivery.key)
        if await asyncio.to_thread(mark.exists):
            return Accepted()
        await asyncio.to_thread(write_file, mark, b"")
        return await super().deliver(delivery)


class Hoarding(Sound):
    """Joins the chunks of an attachment before it looks at them."""

    async def files(self, delivery: Delivery) -> list[tuple[str, str]]:
        found = []
        for attachment in delivery.attachments:
            async with self.context.node.open_attachment(attachment.digest) as chunks:
                content = bytearray()
                async for chunk in chunks:
                    content += chunk
            found.append((attachment.name, hashlib.sha256(content).hexdigest()))
        return found


class Climbing(Sound):
    """Writes attachments under the names that their senders gave."""

    async def files(self, delivery: Delivery) -> list[tuple[str, str]]:
        folder = self.software / "a" / "b"
        folder.mkdir(parents=True, exist_ok=True)
        for attachment in delivery.attachments:
            if attachment.name not in ("", ".", "..") and "\0" not in attachment.name and len(attachment.name) < 80:
                (folder / attachment.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / attachment.name).write_bytes(b"")
        return await super().files(delivery)


class Overwriting(Sound):
    """Takes names that differ in case, or not at all, for one file."""

    async def files(self, delivery: Delivery) -> list[tuple[str, str]]:
        return list({name.casefold(): (name, digest) for name, digest in await super().files(delivery)}.values())


class Sleeping(Sound):
    """Blocks the event loop of everybody."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        if delivery.attachments:
            time.sleep(1.6)  # noqa: ASYNC251 - the fault
        return await super().deliver(delivery)


class Silent(Sound):
    """Answers nothing."""

    async def deliver(self, delivery: Delivery) -> Any:
        await super().deliver(delivery)


class Refusing(Sound):
    """Refuses for good what it cannot read just now."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        try:
            return await super().deliver(delivery)
        except Unavailable as error:
            return Refused(str(error))


class Careless(Sound):
    """Takes a message whose attachment broke off."""

    async def files(self, delivery: Delivery) -> list[tuple[str, str]]:
        try:
            return await super().files(delivery)
        except Unavailable:
            return []


class Ending(Sound):
    """run() does not wait to be told."""

    async def run(self, stop: asyncio.Event) -> None: ...


class Deaf(Sound):
    """run() goes on when it is told to stop."""

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.Event().wait()


class Undeclared(Sound):
    """Promises nothing that the kit knows."""

    guarantee = "twice at most"  # type: ignore[assignment]


class Fetched(Sound):
    """Waits for the software to ask: a file `*.fetch` fetches a message, a file `*.done` confirms it."""

    async def deliver(self, delivery: Delivery) -> Outcome:
        return Awaiting()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for waiting in await self.context.node.waiting():
                await self.serve(waiting.key)
            await asyncio.sleep(0.01)

    async def serve(self, key: DeliveryKey) -> None:
        if (self.software / f"{key}.done").exists():
            await self.context.node.settle(key, Accepted())
        elif not (self.software / f"{key}.offered").exists():
            delivery = await self.context.node.delivery(key)
            assert delivery is not None
            await self.keep(delivery, await self.files(delivery), f"{key}.offered")


class Unsettled(Fetched):
    """Hears the software's confirmation and does not pass it on."""

    async def serve(self, key: DeliveryKey) -> None:
        if not (self.software / f"{key}.done").exists():
            await super().serve(key)


class FetchingSoftware(Software):
    """Software that fetches: it keeps what is offered under its key, then confirms."""

    async def take(self) -> None:
        for offered in self.folder.glob("*.offered"):
            key = offered.name.removesuffix(".offered")
            await asyncio.to_thread(write_file, self.folder / f"{key}.json", offered.read_bytes())
            (self.folder / f"{key}.done").touch()


async def open_fetching(folder: Path) -> FetchingSoftware:
    return FetchingSoftware(folder)
