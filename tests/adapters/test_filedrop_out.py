"""What is dropped into out/ is sent, once, when it is whole, and put away with a note."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.filedrop import open_filedrop
from adapters.sdk import Submission
from schemas.errors import Rejected, Unavailable
from schemas.message import Document, StatusMessage
from tests.adapters.classic import classic, classic_bytes
from tests.adapters.conftest import META, Drop, until, until_well
from tests.adapters.simulator import NOW, NodeSimulator
from tests.schemas.samples import STATUS


async def test_a_classic_file_is_sent_with_its_attachments(drop: Drop) -> None:
    """A classic edXML file goes to the node as its message, attachments unwrapped, named and typed as files."""
    (drop.out / "6111.edxml").write_bytes(classic({"6111.pdf": b"%PDF-1.4 x", "bang.csv": b"a,b\n"}))
    await drop.look(0, 2)
    (submission,) = drop.node.taken.values()
    assert isinstance(submission.message, Document)
    assert submission.message.code.number == "6111"
    assert drop.node.attachments_of(submission) == {
        "6111.pdf": ("application/pdf", b"%PDF-1.4 x"),
        "bang.csv": ("application/pdf", b"a,b\n"),
    }


async def test_a_folder_is_sent_as_its_metadata_say(drop: Drop) -> None:
    """A folder with documents and meta.toml becomes a document with the directory's names of sender and recipients."""
    drop.put_folder(**{"thư mời.pdf": b"%PDF-1.4", "số liệu.csv": "tỉnh,số\n".encode()})
    await drop.look(0, 2)
    (submission,) = drop.node.taken.values()
    document = submission.message
    assert isinstance(document, Document)
    assert (document.sender.organ_id.value, document.sender.organ_name) == ("G22", "Văn phòng Chính phủ")
    assert [(one.organ_id.value, one.organ_name) for one in document.recipients] == [
        ("H23", "UBND tỉnh Hải Dương"),
        ("H31", "UBND tỉnh Hưng Yên"),
    ]
    assert drop.node.attachments_of(submission) == {
        "số liệu.csv": ("text/csv", "tỉnh,số\n".encode()),
        "thư mời.pdf": ("application/pdf", b"%PDF-1.4"),
    }


async def test_metadata_may_say_when_a_document_expires(drop: Drop) -> None:
    """`expires_at` counts from the moment of sending."""
    drop.put_folder(meta='expires_at = "2h"\n' + META)
    await drop.look(0, 2)
    (submission,) = drop.node.taken.values()
    assert submission.expires_at == NOW + timedelta(hours=2)


async def test_metadata_may_be_json(drop: Drop) -> None:
    """meta.json serves as well as meta.toml, a byte order mark before it or not."""
    folder = drop.out / "giay-moi"
    folder.mkdir()
    keys = {"subject": "Giấy mời", "code": "1/GM", "place": "Hà Nội", "to": ["H23"], "signer": "Nguyễn Văn A"}
    (folder / "meta.json").write_text(json.dumps(keys), encoding="utf-8-sig")
    await drop.look(0, 2)
    (submission,) = drop.node.taken.values()
    assert isinstance(submission.message, Document)
    assert submission.message.subject == "Giấy mời"


async def test_a_status_file_is_sent_as_a_status(drop: Drop) -> None:
    """A classic status file goes to the node as a status, about whatever it names."""
    drop.node.serves = ("H23",)
    (drop.out / "status.xml").write_bytes(classic_bytes(STATUS, {}))
    await drop.look(0, 2)
    (submission,) = drop.node.taken.values()
    assert isinstance(submission.message, StatusMessage)
    assert submission.message.response_for.document_id == STATUS.response_for.document_id


async def test_what_was_sent_is_put_away_with_a_note_of_its_message(drop: Drop) -> None:
    """A sent item stands in sent/ under its day, unchanged, with the message id, both ends and what was odd."""
    content = classic({"6111.pdf": b"%PDF-1.4"})
    (drop.out / "6111.edxml").write_bytes(content)
    await drop.look(0, 2)
    assert list(drop.out.iterdir()) == []
    assert (drop.sent / "6111.edxml").read_bytes() == content
    note = json.loads((drop.sent / "6111.edxml.receipt.json").read_text())
    assert note["message_id"] in drop.node.taken
    assert (note["from"], note["to"], note["repeated"]) == ("G22", ["H23", "000.00.00.H31"], False)
    assert note["document_id"] == "G22,2026/11/02,6111/VPCP-KSTT"
    assert note["sent_at"] == "2026-11-20T08:30:00+07:00"


async def test_equal_bytes_are_one_message(drop: Drop) -> None:
    """The same file dropped again, under another name even, is the same message, and the note says so."""
    for name in ("a.edxml", "b.edxml"):
        (drop.out / name).write_bytes(classic({}))
        await drop.look(0, 2)
    notes = [json.loads((drop.sent / f"{name}.edxml.receipt.json").read_text()) for name in ("a", "b")]
    assert notes[0]["message_id"] == notes[1]["message_id"]
    assert [note["repeated"] for note in notes] == [False, True]
    assert drop.node.message_count() == 1


async def test_equal_folders_are_one_message_and_other_folders_are_not(drop: Drop) -> None:
    """A folder's key is of its files' names and bytes and its metadata: any of them changed is another message."""
    variants = {
        "same": ({"a.pdf": b"1", "b.pdf": b"2"}, META),
        "again": ({"b.pdf": b"2", "a.pdf": b"1"}, META),
        "bytes": ({"a.pdf": b"1", "b.pdf": b"3"}, META),
        "names": ({"a.pdf": b"1", "c.pdf": b"2"}, META),
        "swapped": ({"a.pdf": b"2", "b.pdf": b"1"}, META),
        "metadata": ({"a.pdf": b"1", "b.pdf": b"2"}, META.replace("6101", "6102")),
    }
    for name, (files, meta) in variants.items():
        drop.put_folder(name, meta, **files)
    await drop.look(0, 2)
    assert drop.node.message_count() == len(variants) - 1


async def test_one_name_used_every_day_hides_nothing(drop: Drop) -> None:
    """Files that come one after the other under one name stand side by side in sent/, each with its own note."""
    for number in range(4):
        (drop.out / "out.edxml").write_bytes(classic({}, document_id=f"G22,2026/11/02,{number}/VPCP"))
        await drop.look(0, 2)
    notes = [json.loads(path.read_text()) for path in drop.sent.glob("*.receipt.json")]
    assert len({note["message_id"] for note in notes}) == 4
    assert all(Path(str(path).removesuffix(".receipt.json")).exists() for path in drop.sent.glob("*.receipt.json"))


async def test_a_note_outlives_the_item_it_was_beside(drop: Drop) -> None:
    """A clerk took a sent item away and left its note: the next item of that name does not overwrite the note."""
    for number in range(2):
        (drop.out / "out.edxml").write_bytes(classic({}, document_id=f"G22,2026/11/02,{number}/VPCP"))
        await drop.look(0, 2)
        for item in drop.sent.glob("*.edxml"):
            item.unlink()
    notes = [json.loads(path.read_text()) for path in drop.sent.glob("*.receipt.json")]
    assert {note["message_id"] for note in notes} == set(drop.node.taken)


async def test_what_the_node_refuses_goes_to_failed_with_the_reason_in_two_languages(drop: Drop) -> None:
    """Beside the failed item stands why: the sentence, the rule, the element, under Vietnamese and English headings."""
    drop.put_folder(meta=META.replace('"H23", "H31"', '"H99"'))
    await drop.look(0, 2)
    assert (drop.failed / "to-trinh" / "thu.pdf").exists()
    reason = (drop.failed / "to-trinh.error.txt").read_text()
    assert "Lý do / Reason: No agency has the code H99." in reason
    assert "Quy tắc / Rule: recipient-unknown" in reason
    assert not (drop.out / "to-trinh").exists()


@pytest.mark.parametrize(
    ("meta", "rule"),
    [
        ("subject = ", "metadata-syntax"),
        ('subject = "x"', "metadata-invalid"),
        (META.replace('to = ["H23", "H31"]', ""), "recipient-missing"),
        ('secrecy = "mật"\n' + META, "state-secret"),
        ('from = "H31"\n' + META, "sender-not-served"),
        ('expires_at = "soon"\n' + META, "metadata-invalid"),
        ("# " + "x" * 300_000, "metadata-too-large"),
    ],
)
async def test_metadata_that_cannot_be_used_are_refused_by_name(drop: Drop, meta: str, rule: str) -> None:
    """Each fault of metadata has its rule in the reason beside the folder."""
    drop.put_folder(meta=meta)
    await drop.look(0, 2)
    assert f"Rule: {rule}" in (drop.failed / "to-trinh.error.txt").read_text()
    assert drop.node.message_count() == 0


async def test_a_node_of_several_agencies_asks_which_one_sends(drop: Drop) -> None:
    """Without `from` a folder goes from the only agency served; where there are several, it is refused by name."""
    drop.node.serves = ("G22", "H31")
    drop.put_folder("ai")
    drop.put_folder("h31", 'from = "H31"\n' + META.replace('"H23", "H31"', '"H23"'))
    await drop.look(0, 2)
    assert "sender-ambiguous" in (drop.failed / "ai.error.txt").read_text()
    (submission,) = drop.node.taken.values()
    assert submission.message.sender.organ_id.value == "H31"


async def test_a_node_that_cannot_take_it_now_gets_it_later(drop: Drop) -> None:
    """An item that meets a full disk stays in out/, waits longer each time, and is sent once there is room."""
    tries = 0

    def full(_submission: Submission) -> Unavailable:
        nonlocal tries
        tries += 1
        return Unavailable("storage-full", "No space is left.")

    drop.node.trouble = full
    (drop.out / "6111.edxml").write_bytes(classic({}))
    await drop.look(0, 2, 3, 4.1, 5, 8)
    assert tries == 2
    assert (drop.out / "6111.edxml").exists()
    assert not (await drop.adapter.health()).ok
    drop.node.trouble = lambda _: None
    await drop.look(8.2)
    assert drop.node.message_count() == 1
    assert (await drop.adapter.health()).ok


async def test_one_item_in_trouble_does_not_hold_up_the_others(drop: Drop) -> None:
    """While one item waits for its next try, those behind it are sent."""

    def first_only(submission: Submission) -> Unavailable | None:
        return Unavailable("busy", "Not now.") if "/1/" in repr(submission.message) else None

    drop.node.trouble = first_only
    for number in (1, 2):
        path = drop.out / f"{number}.edxml"
        path.write_bytes(classic({}, document_id=f"G22,2026/11/02,/{number}/"))
        os.utime(path, ns=(number * 10**9, number * 10**9))
    await drop.look(0, 2)
    assert drop.node.message_count() == 1
    assert (drop.out / "1.edxml").exists()


async def test_a_recall_waits_for_an_earlier_document_that_waits(drop: Drop) -> None:
    """What speaks of a document that the node does not know is not refused while earlier items wait; then it goes."""
    known: set[int] = set()

    def first_is_late(submission: Submission) -> Unavailable | Rejected | None:
        if "/1/" in repr(submission.message):
            if len(known) == 0:
                return Unavailable("storage-full", "No space is left.")
            known.add(1)
            return None
        return None if 1 in known else Rejected("document-unknown", "No such document is on record here.")

    drop.node.trouble = first_is_late
    for number in (1, 2):
        path = drop.out / f"{number}.edxml"
        path.write_bytes(classic({}, document_id=f"G22,2026/11/02,/{number}/"))
        os.utime(path, ns=(number * 10**9, number * 10**9))
    await drop.look(0, 2)
    assert sorted(item.name for item in drop.out.iterdir()) == ["1.edxml", "2.edxml"]
    known.add(0)
    await drop.look(5)
    assert drop.node.message_count() == 2
    assert list(drop.failed.iterdir()) == []


async def test_a_node_that_takes_nothing_is_not_asked_for_every_item(drop: Drop) -> None:
    """After three items in a row that had to wait, the others are not read in vain."""
    asked = 0

    def busy(_submission: Submission) -> Unavailable:
        nonlocal asked
        asked += 1
        return Unavailable("busy", "Not now.")

    drop.node.trouble = busy
    for number in range(10):
        (drop.out / f"{number}.edxml").write_bytes(classic({}, document_id=f"G22,2026/11/02,{number}/"))
    await drop.look(0, 2)
    assert asked == 3


async def test_a_fault_of_ours_costs_one_item_its_turn_and_no_more(drop: Drop) -> None:
    """An unexpected exception leaves the item in out/ and the source alive."""

    def fault(submission: Submission) -> None:
        if "/1/" in repr(submission.message):
            raise ZeroDivisionError

    drop.node.trouble = fault
    for number in (1, 2):
        (drop.out / f"{number}.edxml").write_bytes(classic({}, document_id=f"G22,2026/11/02,/{number}/"))
    await drop.look(0, 2)
    assert drop.node.message_count() == 1
    assert (drop.out / "1.edxml").exists()


async def test_run_sends_until_it_is_stopped(node: NodeSimulator, tmp_path: Path) -> None:
    """As a service the adapter looks by itself, sends what it finds, and ends when it is told to."""
    adapter = await open_filedrop(node.context(tmp_path / "filedrop", poll_seconds=0.01, settle_seconds=0.02))
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop))
    (tmp_path / "filedrop" / "out" / "6111.edxml").write_bytes(classic({}))
    await until(lambda: node.message_count() == 1)
    stop.set()
    await running
    await adapter.close()


async def test_run_outlives_a_folder_that_is_away(node: NodeSimulator, tmp_path: Path) -> None:
    """A share that is unmounted makes the adapter unwell, not ended; when it is back, work goes on."""
    adapter = await open_filedrop(node.context(tmp_path / "filedrop", poll_seconds=0.01, settle_seconds=0.01))
    out = tmp_path / "filedrop" / "out"
    out.rename(tmp_path / "away")
    stop = asyncio.Event()
    running = asyncio.create_task(adapter.run(stop))
    await until(lambda: adapter._trouble is not None)
    assert not (await adapter.health()).ok
    (tmp_path / "away").rename(out)
    (out / "6111.edxml").write_bytes(classic({}))
    await until(lambda: node.message_count() == 1)
    await until_well(adapter)
    stop.set()
    await running
    await adapter.close()


@pytest.mark.parametrize(
    ("table", "named"),
    [({"poll": 1}, "poll is no setting"), ({"folder": "drop"}, "folder"), ({"settle_seconds": -1}, "settle_seconds")],
)
async def test_wrong_settings_are_refused_by_name(
    node: NodeSimulator, tmp_path: Path, table: dict[str, object], named: str
) -> None:
    """A misspelt or impossible setting stops the adapter with the key's name."""
    with pytest.raises(Rejected, match=named) as error:
        await open_filedrop(node.context(tmp_path / "filedrop", **table))
    assert error.value.code == "settings-invalid"
    assert "adapters.filedrop" in error.value.message
