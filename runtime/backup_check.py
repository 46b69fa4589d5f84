"""Whether a backup is whole: every file is what was backed up, and the database has every attachment that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.backup import STORY, SUMS, Named, Story, read_story
from runtime.database_copy import damage_of, reading_copy
from runtime.files import storage_errors
from runtime.terminal import Count
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Rejected

#: So many faults are named; the others are counted.
_NAMED: Final = 100


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: `faults` in words (the first hundred), `faults_count` in all."""

    story: Story
    faults: tuple[str, ...]
    faults_count: int


def check_backup(backup: Path, program: str, named: Named, *, count: Count) -> Checked:
    """Read every byte of the backup of a `program`; `named` gives the attachments that its database needs as files.

    Raises `backup-unfinished`, `backup-story`, `backup-foreign` for the backup of another program.
    """
    story = read_story(backup)
    if story.program != program:
        raise Rejected(
            "backup-foreign",
            f"{backup} is the backup of a {story.program}.",
            mend=f"Run `congvan {story.program} backup-check`.",
        )
    faults: list[str] = []
    number = 0
    for fault in _faults(backup, story, named, count):
        number += 1
        if number <= _NAMED:
            faults.append(fault)
    return Checked(story, tuple(faults), number)


def _faults(backup: Path, story: Story, named: Named, count: Count) -> Iterator[str]:
    if _digest(backup / SUMS) != story.sums:
        yield f"{SUMS} was changed: nothing that it says can be relied on."
        return
    count.begin(story.files)
    listed: set[str] = set()
    for digest, name in _sums(backup / SUMS):
        listed.add(name)
        found = _digest(backup / name)
        if found is None:
            yield f"{name} is missing."
        elif found != digest:
            yield f"{name} was changed."
        count.advance(1)
    others = (str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file())
    yield from (f"{name} is no part of the backup." for name in others if name not in listed | {STORY, SUMS})
    if story.database not in listed or not (backup / story.database).is_file():
        yield "The database is missing."
        return
    with reading_copy(backup / story.database) as connection:
        if damage := damage_of(connection):
            yield f"{story.database} is damaged: {damage}"
            return
        here = {name.rpartition("/")[2] for name in listed} | set(story.missing)
        if story.with_blobs:
            yield from (f"The attachment {digest} is missing." for digest in named(connection) if digest not in here)


def _sums(path: Path) -> Iterator[tuple[Sha256Hex, str]]:
    with storage_errors(path), path.open(encoding="utf-8") as lines:
        for line in lines:
            digest, _, name = line.rstrip("\n").partition("  ")
            if is_sha256_hex(digest) and name:
                yield digest, name


def _digest(path: Path) -> Sha256Hex | None:
    with storage_errors(path):
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None
