"""A backup of a program's folder: a folder of the same form, which is put in its place to restore it.

Beside what the folder held lie `SHA256SUMS`, a digest for each file in the form of sha256sum, and, written last,
`backup.json`: a backup without it was cut short. The database is copied as of one moment, the attachments after it: one
that a row names is on the disk before the row, and blobs never change, so the copy holds what its database needs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

from sqlalchemy import Connection

from runtime.database_copy import copy_database, reading_copy, revision_of
from runtime.files import PRIVATE, make_private_folder, storage_errors, sync_folder, write_file
from runtime.postgres_address import PostgresAddress
from runtime.terminal import Count
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Rejected

STORY: Final = "backup.json"
SUMS: Final = "SHA256SUMS"
#: Links that cannot be had (another disk, a file system without them, too many): the bytes are copied instead.
_NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES})


#: The attachments that a copied database needs as files.
Named: TypeAlias = Callable[[Connection], Iterator[Sha256Hex]]


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up: the folder `root` and what in it. `blobs` holds attachments; None if they lie elsewhere.

    `named` gives the attachments that the copied database needs as files; `told` what the story says of it.
    """

    program: str
    root: Path
    database: Path
    blobs: Path | None
    plain: tuple[Path, ...]
    secret: tuple[Path, ...]
    named: Named
    told: Callable[[Connection], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Story:
    """What `backup.json` says. `missing`: attachments that were dropped, or lost, by the time of their copying."""

    program: str
    made_at: datetime
    database: str
    revision: str
    with_keys: bool
    with_blobs: bool
    files: int
    bytes: int
    blobs: int
    missing: tuple[Sha256Hex, ...]
    sums: Sha256Hex
    told: dict[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        return asdict(self) | {"made_at": self.made_at.isoformat()}


def back_up(source: Source, target: Path, *, with_keys: bool, base: Path | None, now: datetime, count: Count) -> Story:
    """Make the backup `target`, a new or empty folder; durable when this returns.

    Attachments are hard links, to those of the earlier backup `base` or the program's own, where both lie on one disk.
    Raises `folder-in-use`, `backup-unfinished` for a `base` that is none.
    """
    make_private_folder(target)
    with storage_errors(target):
        if any(target.iterdir()):
            raise Rejected("folder-in-use", f"{target} is not empty.", mend="Give each backup a folder of its own.")
    if base is not None:
        read_story(base)
    making = _Making(source.root, target, base)
    with storage_errors(target), _new_file(target / SUMS) as making.sums:
        copy = making.place(source.database)
        copy_database(source.database, copy, began=count.begin, advanced=count.advance)
        making.note(copy, _synced_digest(copy))
        for path in _files((*source.plain, *(source.secret if with_keys else ()))):
            making.copy(path)
        missing: tuple[Sha256Hex, ...] = ()
        with reading_copy(copy) as connection:
            revision, told = revision_of(connection), source.told(connection)
            if source.blobs is not None:
                blobs = [path for path in source.blobs.rglob("*") if is_sha256_hex(path.name)]
                count.begin(len(blobs))
                for path in blobs:
                    making.take_blob(path)
                    count.advance(1)
                missing = tuple(digest for digest in source.named(connection) if digest not in making.blobs)
        making.sums.flush()
        os.fsync(making.sums.fileno())
    making.sync()
    story = Story(
        program=source.program,
        made_at=now,
        database=str(source.database.relative_to(source.root)),
        revision=revision,
        with_keys=with_keys,
        with_blobs=source.blobs is not None,
        files=making.files,
        bytes=making.bytes,
        blobs=len(making.blobs),
        missing=missing,
        sums=_synced_digest(target / SUMS),
        told=told,
    )
    write_file(target / STORY, json.dumps(story.fields(), indent=2).encode() + b"\n")
    return story


def require_file(place: Path | PostgresAddress) -> Path:
    """The file of a database. Raises `backup-elsewhere` for one on a server, which its own means back up."""
    if isinstance(place, PostgresAddress):
        raise Rejected(
            "backup-elsewhere",
            f"The database is {place}, not a file.",
            mend="Back it up with pg_dump or by PostgreSQL's archive: docs/operations.md says how, and in which order.",
        )
    return place


def read_story(backup: Path) -> Story:
    """What a whole backup says of itself. Raises `backup-unfinished`, `backup-story`."""
    path = backup / STORY
    if not path.is_file():
        raise Rejected(
            "backup-unfinished", f"{backup} holds no whole backup.", mend="Take another; this one was cut short."
        )
    with storage_errors(path):
        content = path.read_bytes()
    try:
        fields = json.loads(content)
        made_at = datetime.fromisoformat(fields.pop("made_at"))
        return Story(made_at=made_at, **fields | {"missing": tuple(fields["missing"])})
    except (ValueError, TypeError, KeyError) as error:
        raise Rejected("backup-story", f"{path} is not what a backup writes: {error}.", mend="Take another.") from error


class _Making:
    """A backup that is being made: what was taken so far."""

    sums: BinaryIO

    def __init__(self, root: Path, target: Path, base: Path | None) -> None:
        self._root, self._target, self._base = root, target, base
        self._folders: set[Path] = {target}
        self.files = self.bytes = 0
        self.blobs: set[Sha256Hex] = set()

    def place(self, path: Path) -> Path:
        """Where a file of the program's folder stands in the backup; its folder is made."""
        place = self._target / path.relative_to(self._root)
        if place.parent not in self._folders:
            make_private_folder(place.parent)
            self._folders.update(folder for folder in place.parents if folder.is_relative_to(self._target))
        return place

    def note(self, place: Path, digest: Sha256Hex) -> None:
        self.sums.write(f"{digest}  {place.relative_to(self._target)}\n".encode())
        self.files += 1
        self.bytes += place.stat().st_size

    def copy(self, path: Path) -> None:
        place = self.place(path)
        _copy(path, place)
        self.note(place, _synced_digest(place))

    def take_blob(self, path: Path) -> None:
        """Link or copy an attachment, if it is still there; its name is its digest, which `backup-check` computes."""
        place = self.place(path)
        earlier = () if self._base is None else (self._base / path.relative_to(self._root),)
        if not any(_linked(source, place) for source in (*earlier, path)):
            try:
                _copy(path, place)
            except FileNotFoundError:
                return
        self.blobs.add(path.name)
        self.note(place, path.name)

    def sync(self) -> None:
        for folder in self._folders:
            sync_folder(folder)


def _linked(source: Path, place: Path) -> bool:
    try:
        place.hardlink_to(source)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _copy(path: Path, place: Path) -> None:
    with path.open("rb") as source, _new_file(place) as copy:
        shutil.copyfileobj(source, copy, 1024 * 1024)
        copy.flush()
        os.fsync(copy.fileno())


def _new_file(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb")


def _synced_digest(path: Path) -> Sha256Hex:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(entry for entry in path.rglob("*") if entry.is_file())
        elif path.is_file():
            yield path
