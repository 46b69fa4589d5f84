"""The crash suite in short: every kind of fault once, within the time of one test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.load import CODES, LARGEST, attachments, letters
from tests.crash.schedule import WEIGHTS, Column, FaultKind, schedule
from tests.crash.site import NODES

#: Of the distributed column a database's death, a broker's, wiped, and that of one process of the hub.
NUMBERS = {Column.EMBEDDED: (40, 10, 3599), Column.DISTRIBUTED: (15, 3, 1)}


@pytest.mark.programs
@pytest.mark.privileged
@pytest.mark.timeout(600)
@pytest.mark.parametrize("column", Column)
def test_nothing_is_lost_or_doubled_whatever_fails(tmp_path: Path, column: Column) -> None:
    """While programs and servers are killed, cut off, full and at wrong times, each item comes out once, with its
    receipts."""
    documents, faults, seed = NUMBERS[column]
    numbers = ("--documents", str(documents), "--faults", str(faults), "--seed", str(seed), "--patience", "150")
    command = [sys.executable, "-m", "tests.crash", *numbers, "--column", column, "--keep", str(tmp_path), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told.pop("seconds") > 0
    assert told == {
        "documents": documents, "faults": faults, "lost": 0, "twice": 0, "receipts_missing": 0, "seed": seed,
    }  # fmt: skip
    taken = {path.stem: path.read_text().count('"took"') for path in tmp_path.glob("*.journal")}
    assert set(taken) == {"G22-filedrop", "G22-webhook", "H23-rest", "H31-vxp"}
    assert all(taken.values()), taken
    assert sum(taken.values()) > documents, "hardly anything came out: documents and statuses were to come"


def test_the_short_form_holds_every_kind_of_fault_and_of_letter() -> None:
    """The numbers of the short form strike with each kind, and send letters of every kind: amending, answered, large,
    refused by the sender's node, by the recipient's, by software that can and by software that cannot."""
    documents, faults, seed = NUMBERS[Column.EMBEDDED]
    assert {fault.kind for fault in schedule(faults, documents, NODES, seed)} == set(WEIGHTS[Column.EMBEDDED])
    sent = list(letters(documents, seed))
    assert {letter.business for letter in sent} == {None, "recall", "replace", "update"}
    assert {letter.is_refused for letter in sent if letter.is_marked} == {False, True}
    assert {code for letter in sent if letter.is_returned for code in letter.recipients} == set(CODES)
    assert any(letter.answers == ("03", "06") for letter in sent)
    assert any(letter.is_refused for letter in sent)
    assert max(size for letter in sent for size in letter.sizes) == LARGEST
    assert {letter.priority for letter in sent} == {0, 1, 2, 3, 4}


def test_a_run_of_the_distributed_column_strikes_its_servers_first() -> None:
    """A short one kills database and process and wipes the broker; one with as many faults as kinds has every kind."""
    of_short = {fault.kind for fault in schedule(3, 15, NODES, 1, Column.DISTRIBUTED)}
    assert of_short == {FaultKind.KILL_DATABASE, FaultKind.WIPE_BROKER, FaultKind.KILL_PROCESS}
    kinds = WEIGHTS[Column.DISTRIBUTED]
    every = {fault.kind for fault in schedule(len(kinds), 15, NODES, 1, Column.DISTRIBUTED)}
    assert every == set(FaultKind) - {FaultKind.KILL_ADAPTER}


def test_adapters_of_processes_of_their_own_are_killed() -> None:
    """With adapters in processes these are struck too, at nodes alone."""
    struck = [one.target for one in schedule(60, 100, NODES, 1, isolated=True) if one.kind is FaultKind.KILL_ADAPTER]
    assert struck
    assert set(struck) <= set(NODES)


def test_the_same_seed_is_the_same_run() -> None:
    """Letters, their bytes and the faults are decided by the numbers given, and differ with the seed."""
    first, again, other = (list(letters(200, seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert list(attachments(first[0], 3)) == list(attachments(again[0], 3)) != list(attachments(first[0], 4))
    assert schedule(40, 200, NODES, 3) == schedule(40, 200, NODES, 3) != schedule(40, 200, NODES, 4)
