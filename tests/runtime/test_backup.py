"""Backups of a folder: as of one moment, whole or refused, checked by our means and by sha256sum."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from runtime.backup import Source, Story, back_up, require_file
from runtime.backup_check import Checked, check_backup
from runtime.postgres_address import PostgresAddress
from runtime.terminal import Count
from schemas.errors import Rejected

NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
UNCOUNTED = Count(lambda _total: None, lambda _step: None)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def named(connection: Connection) -> Iterator[str]:
    yield from connection.exec_driver_sql("SELECT digest FROM named ORDER BY digest").scalars()


class Program:
    """A folder as a hub or a node has it, small."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("data/blobs", "keys"):
            (root / folder).mkdir(parents=True)
        (root / "keys" / "tls.key").write_text("secret")
        (root / "congvan.toml").write_text("[hub]")
        with closing(sqlite3.connect(self.database)) as database:
            database.executescript(
                "PRAGMA journal_mode=WAL; CREATE TABLE named (digest TEXT, filling BLOB);"
                "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('0001')"
            )

    @property
    def database(self) -> Path:
        return self.root / "data" / "hub.db"

    def blob(self, content: bytes) -> Path:
        digest = digest_of(content)
        return self.root / "data" / "blobs" / digest[:2] / digest[2:4] / digest

    def add(self, content: bytes) -> None:
        """An attachment: on the disk first, then named."""
        path = self.blob(content)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with closing(sqlite3.connect(self.database, timeout=30)) as database, database:
            database.execute("INSERT INTO named VALUES (?, randomblob(20000))", (digest_of(content),))

    def back_up(self, target: Path, *, keys: bool = False, base: Path | None = None) -> Story:
        source = Source(
            program="hub",
            root=self.root,
            database=self.database,
            blobs=self.root / "data" / "blobs",
            plain=(self.root / "congvan.toml",),
            secret=(self.root / "keys",),
            named=named,
            told=lambda _connection: {"epoch": "1"},
        )
        return back_up(source, target, with_keys=keys, base=base, now=NOW, count=UNCOUNTED)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path / "hub")
    made.add(b"one")
    made.add(b"two")
    return made


def checked(backup: Path) -> Checked:
    return check_backup(backup, "hub", named, count=UNCOUNTED)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_backup_is_whole_private_and_without_keys(program: Program, tmp_path: Path) -> None:
    """Database, attachments and settings in the folder's own form, for the owner alone; keys only if asked for."""
    story = program.back_up(tmp_path / "backup")
    assert (story.files, story.blobs, story.missing) == (4, 2, ())
    assert not checked(tmp_path / "backup").faults
    assert "tls.key" not in names_in(tmp_path / "backup")
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file() and "blobs" not in path.parts]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
    program.back_up(tmp_path / "with-keys", keys=True)
    assert (tmp_path / "with-keys" / "keys" / "tls.key").read_text() == "secret"
    assert not checked(tmp_path / "with-keys").faults


def test_sha256sum_says_the_same(program: Program, tmp_path: Path) -> None:
    """Who has no Congvan at hand checks a backup with coreutils."""
    program.back_up(tmp_path / "backup")
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path / "backup", check=False, timeout=30).returncode == 0


def test_a_backup_under_writes_holds_what_its_database_names(program: Program, tmp_path: Path) -> None:
    """While attachments are added without a pause, each backup is of one moment: nothing is named that it lacks."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            program.add(b"number %d" % number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = []
        for number in range(4):
            story = program.back_up(tmp_path / f"backup-{number}")
            assert story.missing == ()
            assert not checked(tmp_path / f"backup-{number}").faults
            counts.append(story.blobs)
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0], "there was traffic"


def test_attachments_are_linked_where_one_disk_holds_both(program: Program, tmp_path: Path) -> None:
    """A second backup costs no space for what the first, or the program itself, has."""
    program.back_up(tmp_path / "first")
    program.blob(b"one").unlink()
    program.add(b"one")  # other bytes on the disk, the same content
    program.back_up(tmp_path / "second", base=tmp_path / "first")
    place = program.blob(b"one").relative_to(program.root)
    assert (tmp_path / "second" / place).samefile(tmp_path / "first" / place)
    assert not (tmp_path / "second" / place).samefile(program.blob(b"one"))
    place = program.blob(b"two").relative_to(program.root)
    assert (tmp_path / "second" / place).samefile(program.blob(b"two"))


def test_where_no_link_can_be_had_the_bytes_are_copied(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup on another disk is as whole."""

    def other_disk(_self: Path, _target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", other_disk)
    assert program.back_up(tmp_path / "backup").blobs == 2
    assert not checked(tmp_path / "backup").faults
    place = program.blob(b"one").relative_to(program.root)
    assert not (tmp_path / "backup" / place).samefile(program.blob(b"one"))


def test_each_fault_is_named(program: Program, tmp_path: Path) -> None:
    """A changed, a missing and a foreign file are told apart; so is a changed list of digests."""
    backup = tmp_path / "backup"
    program.back_up(backup)
    place = backup / program.blob(b"one").relative_to(program.root)
    place.unlink()
    place.write_bytes(b"One")
    (backup / "congvan.toml").unlink()
    (backup / "more").write_text("")
    found = checked(backup)
    assert found.faults_count == 3
    assert set(found.faults) == {
        f"{place.relative_to(backup)} was changed.",
        "congvan.toml is missing.",
        "more is no part of the backup.",
    }
    with (backup / "SHA256SUMS").open("a") as sums:
        sums.write("\n")
    assert checked(backup).faults == ("SHA256SUMS was changed: nothing that it says can be relied on.",)


def test_an_attachment_that_was_lost_before_is_told(program: Program, tmp_path: Path) -> None:
    """What the database names and the disk lacks stands in the story; the backup is what it can be."""
    program.blob(b"one").unlink()
    assert program.back_up(tmp_path / "backup").missing == (digest_of(b"one"),)
    assert not checked(tmp_path / "backup").faults


def test_a_damaged_database_is_told(program: Program, tmp_path: Path) -> None:
    """Digests that fit do not make a database whole: SQLite's own check is asked as well."""
    backup = tmp_path / "backup"
    for number in range(20):
        program.add(b"more %d" % number)
    story = program.back_up(backup)
    copy = backup / "data" / "hub.db"
    content = bytearray(copy.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    copy.write_bytes(content)
    sums = (backup / "SHA256SUMS").read_text()
    old = sums.split("  data/hub.db")[0].rpartition("\n")[2]
    (backup / "SHA256SUMS").write_text(sums.replace(old, digest_of(bytes(content))))
    fields = story.fields() | {"sums": digest_of((backup / "SHA256SUMS").read_bytes())}
    (backup / "backup.json").write_text(json.dumps(fields))
    try:
        [fault] = checked(backup).faults
    except Rejected as error:
        fault = error.code
    assert "damaged" in fault


def test_a_backup_that_was_cut_short_is_none(program: Program, tmp_path: Path) -> None:
    """Without the story, which is written last, it is refused: to check, and to build the next one on."""
    backup = tmp_path / "backup"
    program.back_up(backup)
    (backup / "backup.json").unlink()
    for use in (lambda: checked(backup), lambda: program.back_up(tmp_path / "next", base=backup)):
        with pytest.raises(Rejected) as caught:
            use()
        assert caught.value.code == "backup-unfinished"


def test_what_is_no_such_backup_is_refused(program: Program, tmp_path: Path) -> None:
    """A folder in use gets no backup; another program's, or a story that makes no sense, is told."""
    backup = tmp_path / "backup"
    program.back_up(backup)
    with pytest.raises(Rejected) as caught:
        program.back_up(backup)
    assert caught.value.code == "folder-in-use"
    with pytest.raises(Rejected) as caught:
        check_backup(backup, "node", named, count=UNCOUNTED)
    assert caught.value.code == "backup-foreign"
    (backup / "backup.json").write_text("{}")
    with pytest.raises(Rejected) as caught:
        checked(backup)
    assert caught.value.code == "backup-story"


def test_a_database_on_a_server_is_left_to_its_own_means() -> None:
    """What is no file is refused, and told how it is backed up instead."""
    with pytest.raises(Rejected) as caught:
        require_file(PostgresAddress.parse("postgresql://congvan@db.example.vn/congvan"))
    assert caught.value.code == "backup-elsewhere"
    assert "pg_dump" in (caught.value.mend or "")
