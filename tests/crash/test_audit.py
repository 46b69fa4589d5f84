"""The suite's own audit sees what must not be: items lost, doubled, changed, foreign, refused, out of order."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from schemas.namespaces import QCVN
from tests.crash.audits import sentences_of
from tests.crash.journal import Journal
from tests.crash.load import NOBODY, Letter
from tests.crash.office import Office
from tests.crash.records import differing
from tests.crash.register import Arrival, Item, Register, expected_of

LETTER = Letter(7, "G22", ("H23", "H31"), 0, (1024,), answers=("03",))
DIGESTS = ("aa",)


@pytest.fixture
def register() -> Register:
    made = Register()
    made.dropped(LETTER, DIGESTS)
    return made


def arrival(item: Item, message: str = "m1", digests: tuple[str, ...] = DIGESTS) -> Arrival:
    return Arrival(item, f"{message}-{item.at}", digests if item.what == "document" else ())


def take_all(register: Register) -> None:
    for item in expected_of(LETTER):
        register.arrived(arrival(item))


def test_a_run_in_which_all_came_has_no_fault(register: Register) -> None:
    """Document, status 01 and answer of each recipient, once each, leave nothing awaited and nothing to say."""
    take_all(register)
    assert (register.awaited, register.faults, register.twice) == (frozenset(), [], [])
    assert len(register.expected) == 6


def test_what_did_not_come_is_awaited(register: Register) -> None:
    """An item that never came out stays awaited, and holds its place among those on their way."""
    missing, *rest = list(expected_of(LETTER))
    for item in rest:
        register.arrived(arrival(item))
    assert register.awaited == {missing}
    assert register.on_the_way == 1


@pytest.mark.parametrize("message", ["m1", "m2"])
def test_what_came_again_came_twice(register: Register, message: str) -> None:
    """The same item a second time is seen, under the key of the first hand-over as under another one."""
    take_all(register)
    item = next(expected_of(LETTER))
    assert not register.arrived(arrival(item, message))
    assert register.twice == [item]


def test_other_bytes_are_a_loss(register: Register) -> None:
    """A document whose attachments are not those that were dropped is lost, though it came."""
    item = next(expected_of(LETTER))
    register.arrived(arrival(item, digests=("bb",)))
    assert register.lost == {item}


def test_what_nobody_sent_is_a_fault(register: Register) -> None:
    """An item for an agency that it was not for is told."""
    register.arrived(arrival(Item("G22", "document", LETTER.document_id, "G22")))
    assert len(register.faults) == 1


def test_a_recall_before_its_document_is_a_fault(register: Register) -> None:
    """A recall that comes out before what it takes back is told; after it, it is not."""
    recall = Letter(8, "G22", ("H23", "H31"), 0, (), amends=7, business="recall")
    register.dropped(recall, ())
    early, late = (item for item in expected_of(recall) if item.what == "document")
    register.arrived(arrival(early, digests=()))
    assert len(register.faults) == 1
    take_all(register)
    register.arrived(arrival(late, digests=()))
    assert len(register.faults) == 1


def test_statuses_come_in_the_order_in_which_they_were_given() -> None:
    """A status that overtakes an earlier one is told, one before its document a fault; a node's own 01 is neither."""
    letter = Letter(7, "G22", ("H23",), 0, (1024,), answers=("03", "06"))
    document, arrived, accepted, finished = expected_of(letter)
    for order, faults, overtaken in (
        ((arrived, document, accepted, finished), 0, 0),
        ((arrived, document, finished, accepted), 0, 1),
        ((arrived, accepted, document, finished), 1, 0),
    ):
        register = Register()
        register.dropped(letter, DIGESTS)
        for second, item in enumerate(order):
            register.arrived(dataclasses.replace(arrival(item), shown=second * 10**9))
        assert (len(register.faults), len(register.overtaken)) == (faults, overtaken)


def test_a_status_that_is_seen_first_is_judged_by_when_it_came_out(register: Register) -> None:
    """Software tells of a document after its look: a status that came out later is no fault, even if seen first."""
    document, status = Item("H23", "document", LETTER.document_id, "G22"), Item("G22", "03", LETTER.document_id, "H23")
    register.arrived(dataclasses.replace(arrival(status), shown=2 * 10**9))
    register.arrived(dataclasses.replace(arrival(document), shown=10**9))
    assert register.faults == []


def test_what_one_look_finds_is_entered_as_it_was_shown() -> None:
    """Arrivals of one look are put in the order of their folders' times; the same tick is held against nobody."""
    register = Register()
    recall = Letter(8, "G22", ("H23",), 0, (), amends=7, business="recall")
    for letter in (LETTER, recall):
        register.dropped(letter, DIGESTS)
    recalled, recalling = (
        Arrival(Item("H23", "document", letter.document_id, "G22"), "m", shown=5) for letter in (LETTER, recall)
    )
    early = dataclasses.replace(recalling, shown=4)
    assert register.in_order([recalling, recalled]) == [recalled, recalling]
    assert register.in_order([recalled, early]) == [early, recalled]


def test_folders_are_taken_away_in_the_order_in_which_they_were_shown(tmp_path: Path) -> None:
    """The order is that of the renames into in/, whatever the names."""
    header = f'<a xmlns="{QCVN}"><MessageHeader><From><OrganId>G22</OrganId></From></MessageHeader></a>'
    shown_in = tmp_path / "drop" / "in"
    shown_in.mkdir(parents=True)
    for name in ("b", "c", "a"):
        (shown_in / f".{name}").mkdir()
        (shown_in / f".{name}" / "sealed.xml").write_text(header)
    for name in ("b", "c", "a"):
        time.sleep(0.02)
        (shown_in / f".{name}").rename(shown_in / name)
    with Journal(tmp_path / "journal") as journal:
        arrivals = Office("H23", tmp_path / "drop", journal, seed=1).look()
    assert [arrival.name for arrival in arrivals if isinstance(arrival, Arrival)] == ["b", "c", "a"]


def test_only_what_is_to_be_refused_may_be_refused(register: Register) -> None:
    """A letter to nobody has to come back with its reason; any other item in failed/ is a fault."""
    to_nobody = Letter(9, "G22", ("H23", NOBODY), 0, (1024,))
    register.dropped(to_nobody, DIGESTS)
    take_all(register)
    assert len(register.awaited) == 1
    register.refused(to_nobody.name, to_nobody.document_id, "recipient-unknown")
    assert (register.awaited, register.faults) == (frozenset(), [])
    register.refused(LETTER.name, LETTER.document_id, "storage-failed")
    assert len(register.faults) == 1


def test_whatever_the_projects_audit_says_is_told() -> None:
    """Findings of each side and between them, what was not checked and what is under way, are a sentence each."""
    finding = {"code": "receipt-missing", "message": "ab", "sentence": "There is none."}
    side = {"findings": [finding], "findings_count": 1}
    clean = {"findings": [], "findings_count": 0}
    told = {"hub": side, "nodes": {"G22": side, "H23": clean}, **side}
    silent = {"hub": clean, "nodes": {"G22": clean}, **clean, "not_checked": [], "in_flight_count": {"accepted": 0}}
    assert len(list(sentences_of(told | {"not_checked": ["H31"], "in_flight_count": {"accepted": 2}}))) == 5
    assert not list(sentences_of(silent))
    assert list(sentences_of(silent | {"hub": None}))


def test_other_envelopes_than_those_on_record_are_told() -> None:
    """An envelope that was taken away with other bytes than any one place has, or that no place has, is told."""
    places = {"the hub": {"m1": "aa", "m2": "bb"}, "G22": {"m1": "aa"}}
    assert not list(differing({"m1": {"aa"}, "m2": {"bb"}}, places))
    assert len(list(differing({"m1": {"aa", "cc"}, "m2": {"cc"}, "m3": {"dd"}}, places))) == 4


@pytest.mark.parametrize("left", ["out/letter-1", "out/.hidden", "in/.tmp-m1", "failed/x", "sent/2026-11-22/x"])
def test_nothing_may_be_left_in_the_folders(tmp_path: Path, left: str) -> None:
    """After the last look, whatever stands in a folder, hidden or not, is named."""
    with Journal(tmp_path / "journal") as journal:
        office = Office("H23", tmp_path / "drop", journal, seed=1)
        assert office.left() == []
        (tmp_path / "drop" / left).parent.mkdir(parents=True)
        (tmp_path / "drop" / left).touch()
        assert office.left() == [f"{left} of H23"]
