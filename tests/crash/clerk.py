"""An agency's software that speaks an API of its node: what it has to send it sends until the node has it, what awaits
it it takes, keeps under its key, and confirms. Either side may be gone at any moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Protocol

from tests.crash.events import Event, Failed, Sent, Told
from tests.crash.ledger import Ledger
from tests.crash.load import Letter, attachments
from tests.crash.papers import REASON, Answer, digests_of
from tests.crash.register import DOCUMENT, Arrival

#: Requests of one agency under way at once.
_AT_ONCE: Final = 6
#: How often the software gives up before the answer comes, sends once more what was taken, dies between keeping
#: something and confirming it.
_IMPATIENT: Final = 0.15
_REPEATING: Final = 0.15
_DYING: Final = 0.1
_PATIENCE: Final = (0.005, 0.2)


class NotNow(Exception):  # noqa: N818 - says what happened
    """The node did not answer, or says that it cannot at this moment; or the software itself ended just then."""


class Declined(Exception):  # noqa: N818 - says what happened
    """The node refuses, for good; the text is its own."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Something to be sent, under its `name`, once `after` has been."""

    name: str
    after: str | None
    content: Letter | Answer


class Api(Protocol):
    """A node's API as a client sees it. Everything raises NotNow, and Declined what the node refuses."""

    #: Whether software can refuse a document instead of taking it.
    can_refuse: bool

    async def send(self, item: Outgoing, sent: str | None) -> str:
        """Send it; gives its message id. `sent`: the message that `item.after` became. The same again is harmless."""

    def inbox(self) -> AbstractAsyncContextManager[Sequence[str]]:
        """The keys of what awaits the software, in the order in which to take them; its own while the block runs."""

    async def fetch(self, key: str) -> Arrival: ...

    async def settle(self, key: str, refusal: str | None) -> None:
        """Say that the software has it, or refuses it for a reason. The same again is harmless."""

    async def close(self) -> None: ...


class Clerk:
    """The software of the agency `code`. `letter_of` gives the letter under a DocumentId: what it asks for is done."""

    def __init__(
        self, code: str, api: Api, ledger: Ledger, letter_of: Callable[[str], Letter | None], *, seed: int
    ) -> None:
        self.code = code
        self._api = api
        self._ledger = ledger
        self._letter_of = letter_of
        self._seed = seed
        self._chance = Random(f"clerk {seed} {code}")
        self._waiting: dict[str, Outgoing] = {}
        self._tried: set[str] = set()
        self._events: list[Event] = []
        self._told: set[str] = set()

    async def drop(self, letter: Letter) -> tuple[str, ...]:
        """Have `letter` sent from the next look on; gives the digests of its attachments."""
        digests = digests_of(dict(attachments(letter, self._seed)))
        self._ledger.drop(letter, digests)
        after = None if letter.amends is None else f"letter-{letter.amends}"
        self._waiting[letter.name] = Outgoing(letter.name, after, letter)
        return digests

    def answer(self, letter: Letter, message_id: str) -> None:
        """Have the statuses sent that `letter`, which came as `message_id`, asks for, one after the other."""
        before = None
        for status in letter.answers:
            answer = Answer(self.code, letter.document_id, letter.sender, status, message_id)
            self._waiting[answer.name] = Outgoing(answer.name, before, answer)
            before = answer.name

    async def look(self) -> list[Event]:
        """Send what waits, as far as the node lets it, and take what awaits the software."""
        await asyncio.gather(self._send(), self._take())
        events, self._events = self._events, []
        return events

    def left(self) -> list[str]:
        """What the node never had."""
        return [f"{name} of {self.code}" for name in self._waiting]

    async def _send(self) -> None:
        ready = [item for item in self._waiting.values() if item.after is None or item.after in self._ledger.sent]
        await asyncio.gather(*map(self._send_one, ready[:_AT_ONCE]))

    async def _send_one(self, item: Outgoing) -> None:
        gives_up = item.name not in self._tried and self._chance.random() < _IMPATIENT
        self._tried.add(item.name)
        try:
            async with asyncio.timeout(self._chance.uniform(*_PATIENCE) if gives_up else None):
                message_id = await self._api.send(item, self._ledger.sent.get(item.after or ""))
        except (NotNow, TimeoutError):
            return
        except Declined as refusal:
            del self._waiting[item.name]
            self._ledger.fail(item.name, str(refusal))
            document_id = item.content.document_id if isinstance(item.content, Letter) else None
            self._events.append(Failed(item.name, document_id, str(refusal)))
            return
        known = self._ledger.sent.get(item.name)
        if known is None:
            self._ledger.send(item.name, message_id)
            self._events.append(Sent(item.name, message_id))
            if self._chance.random() < _REPEATING:
                return
        elif known != message_id:
            self._tell(f"{item.name} of {self.code}, sent once more, became {message_id}; it was {known}.")
        del self._waiting[item.name]

    async def _take(self) -> None:
        try:
            async with self._api.inbox() as keys:
                for key in keys:
                    await self._take_one(key)
        except Declined as refusal:
            self._tell(f"{self.code} cannot take what awaits it: {refusal}")
        except (NotNow, TimeoutError):
            pass

    async def _take_one(self, key: str) -> None:
        if key in self._ledger.settled:
            self._tell(f"{self.code} had confirmed {key}, and was offered it again.")
        if key not in self._ledger.taken:
            arrival = await self._api.fetch(key)
            letter = self._letter_of(arrival.item.document_id) if arrival.item.what == DOCUMENT else None
            refused = self._api.can_refuse and letter is not None and letter.is_returned
            arrival = replace(arrival, shown=time.time_ns(), is_refused=refused)
            self._ledger.take(arrival)
            self._events.append(arrival)
            if self._chance.random() < _DYING:
                self._ledger.forget()
                raise NotNow("the software died")
        await self._api.settle(key, REASON if self._ledger.taken[key] else None)
        self._ledger.settle(key)

    def _tell(self, sentence: str) -> None:
        """Say it once: the same fault shows at every look."""
        if sentence not in self._told:
            self._told.add(sentence)
            self._events.append(Told(sentence))
