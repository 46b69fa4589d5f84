"""The simulated software counts as an agency would: by what it kept, under the keys that it was given."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

import aiohttp
import pytest

from congvan.demo.programs import free_port
from tests.crash.clerk import Clerk, NotNow, Outgoing
from tests.crash.connections import Kind, shared_out
from tests.crash.events import Sent, Told
from tests.crash.journal import Journal
from tests.crash.ledger import Ledger, contradictions
from tests.crash.letters_read import classic_item
from tests.crash.load import Letter, attachments
from tests.crash.papers import Answer, classic_letter, classic_status, digests_of
from tests.crash.receiver import Mood, Receiver
from tests.crash.register import Arrival, Item

LETTER = Letter(7, "G22", ("H23",), 0, (1024, 2048), answers=("03",))
RETURNED = dataclasses.replace(LETTER, number=8, answers=("02",))
HOST = "127.0.9.1"
SECRET = b"sixteen bytes at least"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Journal(tmp_path / "journal") as journal:
        yield Ledger(tmp_path / "journal", journal)


@dataclass
class ScriptedApi:
    """A node that offers `offered` and takes what it is sent as the next of `ids`; `away` calls fail first."""

    can_refuse: bool = True
    offered: Sequence[str] = ()
    ids: list[str] = field(default_factory=lambda: ["m1"])
    away: int = 0
    settled: list[tuple[str, str | None]] = field(default_factory=list)

    async def send(self, item: Outgoing, sent: str | None) -> str:
        self._answer()
        return self.ids.pop(0) if len(self.ids) > 1 else self.ids[0]

    @contextlib.asynccontextmanager
    async def inbox(self) -> AsyncIterator[Sequence[str]]:
        yield self.offered

    async def fetch(self, key: str) -> Arrival:
        self._answer()
        return Arrival(Item("H23", "document", LETTER.document_id, "G22"), key, ("aa",))

    async def settle(self, key: str, refusal: str | None) -> None:
        self._answer()
        self.settled.append((key, refusal))

    async def close(self) -> None: ...

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise NotNow("away")


def steady(clerk: Clerk, lots: float = 0.99) -> Clerk:
    """The clerk, with all lots alike: by default it is patient, does nothing twice and never dies."""
    clerk._chance = Random(0)
    patch.object(clerk._chance, "random", lambda: lots).start()
    return clerk


@pytest.fixture(autouse=True)
def unpatched() -> AsyncIterator[None]:
    yield
    patch.stopall()


async def test_what_awaits_is_kept_once_and_then_confirmed(ledger: Ledger) -> None:
    """A confirmation that was lost is made again for what was kept, which does not come a second time."""
    api = ScriptedApi(offered=("m1-H23",))
    clerk = steady(Clerk("H23", api, ledger, {}.get, seed=1))
    with patch.object(api, "settle", side_effect=NotNow("killed")):
        [arrival] = await clerk.look()
    assert isinstance(arrival, Arrival)
    assert await clerk.look() == []
    assert api.settled == [("m1-H23", None)]


async def test_what_was_confirmed_and_is_offered_again_is_told(ledger: Ledger) -> None:
    """A node that forgets what it was told is found out, once for each message."""
    clerk = steady(Clerk("H23", ScriptedApi(offered=("m1-H23",)), ledger, {}.get, seed=1))
    await clerk.look()
    [told] = await clerk.look()
    assert isinstance(told, Told)
    assert "m1-H23" in told.sentence
    assert await clerk.look() == []


async def test_software_that_dies_between_keeping_and_confirming_keeps_it(ledger: Ledger) -> None:
    """Its record is what it knows afterwards: nothing is confirmed in that look, and nothing kept twice."""
    api = ScriptedApi(offered=("m1-H23",))
    clerk = steady(Clerk("H23", api, ledger, {}.get, seed=1), lots=0.0)
    assert len(await clerk.look()) == 1
    assert api.settled == []
    assert await clerk.look() == []
    assert api.settled == [("m1-H23", None)]


@pytest.mark.parametrize(("can_refuse", "said"), [(True, True), (False, False)])
async def test_what_is_to_be_returned_is_refused_where_that_can_be(
    ledger: Ledger, can_refuse: bool, said: bool
) -> None:
    """A letter that asks for 02 is refused at its confirmation, or taken where the API knows no refusal."""
    api = ScriptedApi(can_refuse=can_refuse, offered=("m1-H23",))
    clerk = steady(Clerk("H23", api, ledger, {LETTER.document_id: RETURNED}.get, seed=1))
    [arrival] = await clerk.look()
    assert isinstance(arrival, Arrival)
    assert arrival.is_refused is said
    assert [bool(refusal) for _, refusal in api.settled] == [said]


async def test_a_letter_is_sent_until_the_node_has_it(ledger: Ledger) -> None:
    """What a node that was away did not answer goes again; what speaks of it waits until then."""
    clerk = steady(Clerk("G22", ScriptedApi(away=1, ids=["m1", "m2"]), ledger, {}.get, seed=1))
    recall = Letter(9, "G22", ("H23",), 0, (), amends=7, business="recall")
    await clerk.drop(recall)
    await clerk.drop(LETTER)
    looks = [await clerk.look() for _ in range(4)]
    assert looks == [[], [Sent("letter-7", "m1")], [Sent("letter-9", "m2")], []]
    assert clerk.left() == []


async def test_another_message_for_what_was_sent_once_more_is_told(ledger: Ledger) -> None:
    """The same thing sent again has to be the message that it was."""
    clerk = steady(Clerk("G22", ScriptedApi(ids=["m1", "m2"]), ledger, {}.get, seed=1), lots=0.1)
    clerk._tried.add(LETTER.name)
    await clerk.drop(LETTER)
    assert await clerk.look() == [Sent(LETTER.name, "m1")]
    [told] = await clerk.look()
    assert isinstance(told, Told)


def test_a_record_says_what_was_taken_twice_sent_twice_or_not_seen(ledger: Ledger, tmp_path: Path) -> None:
    """Software's own records are counted by themselves: against each other, and against what was seen."""
    item = Item("H23", "document", LETTER.document_id, "G22")
    ledger.take(Arrival(item, "m1-H23"))
    ledger.send("letter-1", "m1")
    journals = {"H23": [tmp_path / "journal"]}
    assert list(contradictions(journals, {item: 1})) == []
    assert len(list(contradictions(journals, {}))) == 1
    ledger.take(Arrival(item, "m1-H23"))
    ledger.send("letter-1", "m2")
    assert len(list(contradictions(journals, {item: 2}))) == 2


def test_a_classic_letter_is_the_same_bytes_each_time_and_has_what_was_put_in() -> None:
    """The vxp adapter knows a repeat by its bytes; what software reads out of the file is what was written."""
    file = classic_letter(LETTER, seed=3)
    assert file == classic_letter(LETTER, seed=3)
    item, digests = classic_item(file, "H23")
    assert item == Item("H23", "document", LETTER.document_id, "G22")
    assert digests == digests_of(dict(attachments(LETTER, 3)))
    status = classic_status(Answer("H23", LETTER.document_id, "G22", "02", "m1"))
    assert classic_item(status, "G22") == (Item("G22", "02", LETTER.document_id, "H23"), ())


def test_kinds_are_shared_out_in_turn() -> None:
    """One kind is everybody's; a fourth is a second one of the first agency's; none is twice at one."""
    assert shared_out((Kind.REST,)) == dict.fromkeys(("G22", "H23", "H31"), (Kind.REST,))
    assert shared_out(tuple(Kind))["G22"] == (Kind.FILEDROP, Kind.WEBHOOK)
    assert shared_out((Kind.VXP, Kind.REST, Kind.REST, Kind.VXP))["G22"] == (Kind.VXP,)


@contextlib.asynccontextmanager
async def receiving(ledger: Ledger, *moods: Mood) -> AsyncIterator[tuple[Receiver, str]]:
    """A server that meets its first pushes in `moods`, and takes all others; and its address."""
    chance = Random(1)
    left = list(moods)
    patch.object(chance, "choices", lambda *_, **__: [left.pop(0) if left else Mood.WELL]).start()
    listen = (HOST, free_port(HOST))
    receiver = Receiver(
        "H23", ledger, {RETURNED.document_id: RETURNED}.get, listen=listen, secret=SECRET, chance=chance, hang=0.0
    )
    await receiver.open()
    try:
        yield receiver, f"http://{listen[0]}:{listen[1]}/dms"
    finally:
        await receiver.close()


async def push(url: str, letter: Letter = LETTER, *, secret: bytes = SECRET, age: int = 0) -> int | None:
    """Push a document as the webhook adapter does; gives the status, None if there was no answer."""
    message = {"kind": "document", "document_id": letter.document_id, "from": {"organ_id": "G22"}}
    body = json.dumps({"key": f"m{letter.number}-H23", "message": message, "attachments": []}).encode()
    timestamp = str(int(time.time()) - age)
    mac = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"Congvan-Timestamp": timestamp, "Congvan-Signature": f"v1={mac}"}
    try:
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            return answer.status
    except aiohttp.ClientError:
        return None


async def test_a_server_keeps_what_is_genuine_once(ledger: Ledger) -> None:
    """A wrong signature or an old one is 401 and kept nowhere; the same key again is answered as before."""
    async with receiving(ledger) as (receiver, url):
        assert await push(url, secret=b"another secret of a stranger") == 401
        assert await push(url, age=301) == 401
        assert ledger.taken == {}
        assert [await push(url) for _ in range(2)] == [204, 204]
        assert [await push(url, RETURNED) for _ in range(2)] == [422, 422]
        assert [event.name for event in await receiver.look() if isinstance(event, Arrival)] == ["m7-H23", "m8-H23"]


@pytest.mark.parametrize(
    ("mood", "answer", "kept"),
    [
        (Mood.BROKEN, 500, False),
        (Mood.BUSY, 503, False),
        (Mood.HANGING, 204, True),
        (Mood.SILENT, None, True),
        (Mood.KILLED, None, False),
        (Mood.KILLED_AFTER, None, True),
    ],
)
async def test_a_server_in_a_mood_loses_nothing(ledger: Ledger, mood: Mood, answer: int | None, kept: bool) -> None:
    """Whatever it does with a push, it has kept it or not, and the next one is taken once."""
    async with receiving(ledger, mood) as (receiver, url):
        assert await push(url) == answer
        assert ("m7-H23" in ledger.taken) is kept
        for _ in range(200):
            if await push(url) == 204:
                break
            await receiver.settled()
        assert len(await receiver.look()) == 1
