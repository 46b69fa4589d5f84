"""An agency's software as a whole: what sends, and all that takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from tests.crash.clerk import Api, Clerk
from tests.crash.connections import PUSH_SECONDS, SYSTEM_ID, Access, Kind
from tests.crash.events import Event
from tests.crash.journal import Journal
from tests.crash.ledger import Ledger
from tests.crash.load import Letter
from tests.crash.office import Office
from tests.crash.receiver import Receiver
from tests.crash.rest_api import RestApi
from tests.crash.vxp_api import VxpApi

LetterOf = Callable[[str], Letter | None]


class Taking(Protocol):
    """Software that takes what comes."""

    async def look(self) -> list[Event]: ...

    def left(self) -> list[str]: ...


class Sending(Taking, Protocol):
    """Software that sends as well."""

    async def drop(self, letter: Letter) -> tuple[str, ...]: ...

    def answer(self, letter: Letter, message_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Folders:
    """An office of folders, its work in threads."""

    office: Office

    async def drop(self, letter: Letter) -> tuple[str, ...]:
        return await asyncio.to_thread(self.office.drop, letter)

    def answer(self, letter: Letter, message_id: str) -> None:
        self.office.answer(letter, message_id)

    async def look(self) -> list[Event]:
        return await asyncio.to_thread(self.office.look)

    def left(self) -> list[str]:
        return self.office.left()


@dataclass(frozen=True, slots=True)
class Agency:
    """The software of the agency `code`: one of its `parts` sends, each takes something; `journals` are its records."""

    code: str
    sends: Sending
    parts: Sequence[Taking]
    journals: Sequence[Path]

    async def look(self) -> list[Event]:
        """Send and take, all parts at once."""
        return [event for events in await asyncio.gather(*(part.look() for part in self.parts)) for event in events]

    def left(self) -> list[str]:
        return [sentence for part in self.parts for sentence in part.left()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What all software of a run has in common: journals are made in `folder`; `resources` are let go of at its end.

    `letter_of` gives the letter under a DocumentId.
    """

    folder: Path
    letter_of: LetterOf
    seed: int
    resources: AsyncExitStack

    async def agency(self, code: str, accesses: Sequence[Access], drop: Path) -> Agency:
        """The software of `code` for `accesses`, the first of which that can sends; `drop` is its node's filedrop."""
        sending: list[Sending] = []
        parts: list[Taking] = []
        journals = []
        for access in accesses:
            path = self.folder / f"{code}-{access.kind}.journal"
            journal = self.resources.enter_context(Journal(path))
            journals.append(path)
            if access.kind is Kind.WEBHOOK:
                parts.append(await self._receiver(code, access, Ledger(path, journal)))
                continue
            if access.kind is Kind.FILEDROP:
                sending.append(Folders(Office(code, drop, journal, seed=self.seed)))
            else:
                sending.append(self._clerk(code, access, Ledger(path, journal)))
            parts.append(sending[-1])
        return Agency(code, sending[0], parts, journals)

    async def _receiver(self, code: str, access: Access, ledger: Ledger) -> Receiver:
        receiver = Receiver(
            code,
            ledger,
            self.letter_of,
            listen=(access.host, access.port),
            secret=access.secret.encode(),
            chance=Random(f"receiver {self.seed} {code}"),
            hang=2 * PUSH_SECONDS,
        )
        await receiver.open()
        self.resources.push_async_callback(receiver.close)
        return receiver

    def _clerk(self, code: str, access: Access, ledger: Ledger) -> Clerk:
        api: Api
        if access.kind is Kind.REST:
            api = RestApi(code, access.url, access.secret, seed=self.seed)
        else:
            api = VxpApi(code, access.url, SYSTEM_ID, access.secret, seed=self.seed)
        self.resources.push_async_callback(api.close)
        return Clerk(code, api, ledger, self.letter_of, seed=self.seed)
