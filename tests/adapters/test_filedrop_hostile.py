"""Whoever may write into out/, or send a message, commands neither the node's files nor its patience."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.filedrop import open_filedrop
from adapters.sdk import Accepted
from schemas.errors import Rejected
from tests.adapters.classic import classic
from tests.adapters.conftest import META, Drop
from tests.adapters.simulator import NodeSimulator
from tests.adapters.test_filedrop_in import delivery_of

NOBODY = 65534


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the node's that nobody outside may see."""
    path = tmp_path / "seal.key.pem"
    path.write_bytes(classic({"key": b"-----BEGIN PRIVATE KEY-----"}))
    return path


async def test_a_link_in_out_is_refused_and_not_followed(drop: Drop, secret: Path) -> None:
    """A symbolic link to a readable file is an error with its reason; the link goes to failed/, its target stays."""
    (drop.out / "6111.edxml").symlink_to(secret)
    await drop.look(0, 2)
    assert "item-kind" in (drop.failed / "6111.edxml.error.txt").read_text()
    assert (drop.failed / "6111.edxml").is_symlink()
    assert secret.exists()
    assert drop.node.message_count() == 0


@pytest.mark.parametrize("name", ["thu.pdf", "meta.toml"])
async def test_a_link_inside_a_folder_is_refused(drop: Drop, secret: Path, name: str) -> None:
    """Neither a document nor the metadata of a folder can be a link to another file."""
    folder = drop.put_folder()
    (folder / name).unlink()
    (folder / name).symlink_to(secret)
    await drop.look(0, 2)
    reason = (drop.failed / "to-trinh.error.txt").read_text()
    assert "item-kind" in reason
    assert name in reason
    assert drop.node.message_count() == 0


async def test_a_file_exchanged_for_a_link_after_the_look_is_not_followed(
    drop: Drop, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the reading a link may take the place of a file: nothing is read through it."""
    folder = drop.put_folder()
    read = asyncio.to_thread

    async def exchange_first(function: object, *arguments: object) -> object:
        if getattr(function, "__name__", "") == "read_item":
            (folder / "thu.pdf").unlink()
            (folder / "thu.pdf").symlink_to(secret)
        return await read(function, *arguments)  # type: ignore[arg-type] # whatever the adapter runs in a thread

    monkeypatch.setattr("adapters.filedrop.sending.asyncio.to_thread", exchange_first)
    await drop.look(0, 2)
    assert drop.node.message_count() == 0


async def test_what_is_sent_is_what_was_digested(drop: Drop) -> None:
    """A file changed while the node takes it does not change the message: the node reads the adapter's own copy."""
    folder = drop.put_folder(**{"thu.pdf": b"first"})
    drop.node.trouble = lambda _: (folder / "thu.pdf").write_bytes(b"second") and None
    await drop.look(0, 2)
    (submission,) = drop.node.taken.values()
    assert drop.node.attachments_of(submission)["thu.pdf"][1] == b"first"


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder"])
async def test_what_is_no_file_is_refused_at_once(drop: Drop, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A pipe would never end, a socket cannot be read, a folder in a folder is ambiguous: each is refused."""
    folder = drop.put_folder()
    path = folder / "phu-luc"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            # A socket's address is short; the folder's path may not be.
            monkeypatch.chdir(folder)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind("phu-luc")
        case _:
            path.mkdir()
    await drop.look(0, 2)
    assert "item-kind" in (drop.failed / "to-trinh.error.txt").read_text()


async def test_a_pipe_in_out_is_refused(drop: Drop) -> None:
    """Something that is neither file nor folder is put away with its reason."""
    os.mkfifo(drop.out / "6111.edxml")
    await drop.look(0, 2)
    assert "item-kind" in (drop.failed / "6111.edxml.error.txt").read_text()


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of a user who is not root, which this test runs as: root may read everything."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(folder)


async def test_what_the_node_may_not_read_is_said(as_nobody: Path) -> None:
    """A file or folder without permission is refused with what to do, and the others go on."""
    node = NodeSimulator(as_nobody / "outbox")
    adapter = await open_filedrop(node.context(as_nobody / "filedrop"))
    drop = Drop(node, adapter, as_nobody / "filedrop")
    (drop.out / "a.edxml").write_bytes(classic({}))
    (drop.out / "a.edxml").chmod(0)
    folder = drop.put_folder()
    (folder / "thu.pdf").chmod(0)
    (drop.out / "b.edxml").write_bytes(classic({}))
    await drop.look(0, 2)
    assert "item-permission" in (drop.failed / "a.edxml.error.txt").read_text()
    assert "item-permission" in (drop.failed / "to-trinh.error.txt").read_text()
    assert node.message_count() == 1
    await adapter.close()


async def test_a_folder_that_cannot_be_moved_is_sent_once_and_reported(as_nobody: Path) -> None:
    """What cannot be put away stays in out/, is no second message, and makes the adapter unwell with the reason."""
    node = NodeSimulator(as_nobody / "outbox")
    adapter = await open_filedrop(node.context(as_nobody / "filedrop"))
    drop = Drop(node, adapter, as_nobody / "filedrop")
    # A folder goes to another parent only with the right to write in it.
    folder = drop.put_folder()
    folder.chmod(0o500)
    await drop.look(0, 2, 5, 50)
    assert folder.exists()
    assert node.message_count() == 1
    health = await adapter.health()
    assert not health.ok
    assert "permission" in health.detail
    folder.chmod(0o700)
    await drop.look(500)
    assert not folder.exists()
    assert node.message_count() == 1
    await adapter.close()


@pytest.mark.parametrize(
    "name",
    [
        "x" * 249 + ".edxml",
        "công văn " * 20 + ".edxml",
        "\u202ecod.edxml",
        "a\nb.edxml",
        "CON.edxml",
        "-rf.edxml",
        "$(reboot).edxml",
    ],
)
async def test_hostile_names_in_out_are_put_away_under_safe_ones(drop: Drop, name: str) -> None:
    """Whatever an item is called, it is sent and stands in sent/ with its note under a name that harms nobody."""
    (drop.out / name).write_bytes(classic({}))
    await drop.look(0, 2)
    assert drop.node.message_count() == 1
    (note,) = drop.sent.glob("*.receipt.json")
    item = Path(str(note).removesuffix(".receipt.json"))
    assert item.exists()
    assert not any(letter in item.name for letter in "\u202e\n")
    assert len(note.name.encode()) <= 255


async def test_a_name_that_is_no_text_is_put_away_too(drop: Drop) -> None:
    """A name of bytes that are no UTF-8 stops nothing: as an item it is sent, as a document's name it is refused."""
    (drop.out / os.fsdecode(b"c\xf4ng.edxml")).write_bytes(classic({}))
    drop.put_folder(**{os.fsdecode(b"th\xf4ng.pdf"): b"%PDF"})
    await drop.look(0, 2)
    assert drop.node.message_count() == 1
    assert "item-name" in (drop.failed / "to-trinh.error.txt").read_text()
    assert list(drop.out.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "files", "rule"),
    [
        ({"attachment_bytes": 10}, {"a.pdf": b"x" * 11}, "attachment-too-large"),
        ({"message_attachment_bytes": 10}, {"a.pdf": b"x" * 6, "b.pdf": b"x" * 6}, "attachment-too-large"),
        ({"attachments": 1}, {"a.pdf": b"x", "b.pdf": b"x"}, "too-many-attachments"),
    ],
)
async def test_folders_keep_to_the_limits(
    node: NodeSimulator, tmp_path: Path, settings: dict[str, object], files: dict[str, bytes], rule: str
) -> None:
    """More or larger documents than allowed are refused by the rule."""
    adapter = await open_filedrop(node.context(tmp_path / "filedrop", **settings))
    drop = Drop(node, adapter, tmp_path / "filedrop")
    drop.put_folder(**files)
    await drop.look(0, 2)
    assert rule in (drop.failed / "to-trinh.error.txt").read_text()
    await adapter.close()


async def test_classic_files_keep_to_the_limits(node: NodeSimulator, tmp_path: Path) -> None:
    """An attachment inside a classic file that unpacks beyond the limit is refused, and nothing of it is left."""
    adapter = await open_filedrop(node.context(tmp_path / "filedrop", attachment_bytes=1000))
    drop = Drop(node, adapter, tmp_path / "filedrop")
    (drop.out / "6111.edxml").write_bytes(classic({"6111.pdf": bytes(100_000)}))
    await drop.look(0, 2)
    assert "too-large" in (drop.failed / "6111.edxml.error.txt").read_text()
    assert list((drop.root / ".state" / "spool").iterdir()) == []
    await adapter.close()


async def test_hostile_attachment_names_stay_in_their_folder(drop: Drop) -> None:
    """Names that climb, hide, turn text around, name devices or run on for ever are saved flat, safe and distinct."""
    names = [
        "../../../../etc/passwd",
        "..\\..\\boot.ini",
        "/etc/shadow",
        "",
        ".",
        "..",
        "CON",
        "con.txt",
        "hợp đồng\u202efdp.exe",
        "a.pdf",
        "A.PDF",
        "công văn hỏa tốc " * 40 + ".pdf",
        "thư.pdf . . .",
    ]
    files = [(name, bytes([place])) for place, name in enumerate(names)]
    assert await drop.adapter.deliver(delivery_of(drop, files)) == Accepted()
    (folder,) = drop.incoming.iterdir()
    saved = sorted((folder / "attachments").iterdir())
    assert sorted(path.read_bytes() for path in saved) == sorted(content for _, content in files)
    assert not any(letter in path.name for path in saved for letter in '\u202e/\\:*?"<>|')
    assert not any(path.name.startswith(".") or path.name.endswith((".", " ")) for path in saved)
    assert max(len(path.name.encode()) for path in saved) <= 255
    assert len({path.name.casefold() for path in saved}) == len(files)
    everything = {path.parent for path in drop.root.rglob("*") if path.is_file()}
    assert everything <= {folder, folder / "attachments", drop.root / ".state"}


async def test_a_link_planted_for_the_staging_is_not_followed(drop: Drop, tmp_path: Path) -> None:
    """A link under the staged folder's name, put there beforehand, does not lead the node's writing elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    delivery = delivery_of(drop, [("a.pdf", b"1")])
    (drop.incoming / f".tmp-{delivery.key}").symlink_to(elsewhere)
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert list(elsewhere.iterdir()) == []
    assert (drop.incoming / str(delivery.key) / "document.edxml").exists()


async def test_a_link_in_the_place_of_the_shown_folder_is_no_delivery(drop: Drop, tmp_path: Path) -> None:
    """A link that bears the folder's name does not count as the message having been shown."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    delivery = delivery_of(drop, [])
    (drop.incoming / str(delivery.key)).symlink_to(elsewhere)
    with pytest.raises(Exception, match=str(delivery.key)):
        await drop.adapter.deliver(delivery)
    (drop.incoming / str(delivery.key)).unlink()
    assert await drop.adapter.deliver(delivery) == Accepted()
    assert (drop.incoming / str(delivery.key) / "document.edxml").exists()


async def test_folders_that_a_rename_cannot_join_are_refused(node: NodeSimulator, tmp_path: Path) -> None:
    """out/ and sent/ on different file systems are named at the start, not when the first item is put away."""
    shared = Path("/dev/shm")
    assert shared.stat().st_dev != tmp_path.stat().st_dev, "this test needs a second file system at /dev/shm"
    other = shared / f"congvan-test-{os.getpid()}"
    other.mkdir()
    try:
        (tmp_path / "filedrop").mkdir()
        (tmp_path / "filedrop" / "sent").symlink_to(other)
        with pytest.raises(Rejected) as error:
            await open_filedrop(node.context(tmp_path / "filedrop"))
        assert error.value.code == "drop-folders-apart"
    finally:
        shutil.rmtree(other)


async def test_both_kinds_of_metadata_at_once_are_refused(drop: Drop) -> None:
    """meta.toml beside meta.json: nobody guesses which is meant."""
    folder = drop.put_folder(meta=META)
    (folder / "meta.json").write_text("{}")
    await drop.look(0, 2)
    assert "metadata-twice" in (drop.failed / "to-trinh.error.txt").read_text()
