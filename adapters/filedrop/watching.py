"""What stands in out/, and what of it is whole.

Nothing says that a file is complete: no close is seen across a network share, and a copy from another file system grows
under its final name. So an item is taken when it looked the same twice, for a while, and ends as it should.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from adapters.filedrop.opening import open_regular
from runtime.files import storage_errors
from schemas.errors import Rejected

METADATA_NAMES = ("meta.toml", "meta.json")
_MESSAGE_EXTENSIONS = frozenset({".edxml", ".xml"})

#: Names that programs give to a file while they write or fetch it.
_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".crdownload", ".download")
#: What file managers leave beside the files of people.
_LITTER = frozenset({"thumbs.db", "desktop.ini"})

#: Bytes read at either end of a file to see whether it breaks off.
_END = 4096
_ROOT_TAG = re.compile(rb"<([^\s<>/?!][^\s<>/]*)")


class ItemKind(Enum):
    MESSAGE_FILE = "message file"
    DOCUMENT_FOLDER = "document folder"
    UNKNOWN_FILE = "file of another kind"
    NO_FILE = "neither a file nor a folder"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in out/. `state` differs if its bytes may: equal states are what "it did not change" means.

    `changed_ns` is the time of its last change as the file system tells it.
    """

    path: Path
    kind: ItemKind
    state: Hashable
    changed_ns: int

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True, slots=True)
class View:
    """What one look saw: `ready` in the order of their last change, `waiting` the number of the others."""

    ready: tuple[Item, ...]
    waiting: int


@dataclass(slots=True)
class _Sighting:
    """How an item looked, since when, and whether it ends as it should (None: nobody has read its end yet)."""

    state: Hashable
    since: float
    ends_whole: bool | None = None


class Watcher:
    """Remembers how each item looked, from one look to the next."""

    def __init__(self, folder: Path, *, settle_seconds: float, incomplete_seconds: float) -> None:
        self._folder = folder
        self._settle = settle_seconds
        self._incomplete = incomplete_seconds
        self._sightings: dict[str, _Sighting] = {}

    def look(self, now: float) -> View:
        """Look at the folder; `now` is of a clock that never goes back, in seconds."""
        sightings: dict[str, _Sighting] = {}
        ready = []
        with storage_errors(self._folder):
            for item in items_in(self._folder):
                before = self._sightings.get(item.name)
                if before is None or before.state != item.state:
                    sightings[item.name] = _Sighting(item.state, now)
                    continue
                sightings[item.name] = before
                if self._is_ready(item, before, now - before.since):
                    ready.append(item)
        self._sightings = sightings
        ready.sort(key=lambda item: (item.changed_ns, item.name))
        return View(tuple(ready), waiting=len(sightings) - len(ready))

    def _is_ready(self, item: Item, sighting: _Sighting, unchanged_for: float) -> bool:
        if unchanged_for < self._settle:
            return False
        match item.kind:
            case ItemKind.MESSAGE_FILE:
                if sighting.ends_whole is None:
                    sighting.ends_whole = _ends_whole(item.path)
                return sighting.ends_whole or unchanged_for >= self._incomplete
            case ItemKind.DOCUMENT_FOLDER:
                # Someone may be filling it by hand: without its metadata it waits for as long as they take.
                return _is_filled(item.path)
            case ItemKind.UNKNOWN_FILE:
                return unchanged_for >= self._incomplete
            case ItemKind.NO_FILE:
                return True


def items_in(folder: Path) -> Iterator[Item]:
    """Every item of out/; what is hidden, unfinished or litter is none."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_ignored(entry.name) or is_unfinished(entry.name):
                continue
            try:
                yield _item(Path(entry.path), entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue  # taken back between the listing and here


def _item(path: Path, facts: os.stat_result) -> Item:
    if stat.S_ISDIR(facts.st_mode):
        try:
            state, changed = _folder_state(path)
        except PermissionError:
            state, changed = file_state(facts), facts.st_mtime_ns
        return Item(path, ItemKind.DOCUMENT_FOLDER, state, changed)
    kind = ItemKind.NO_FILE
    if stat.S_ISREG(facts.st_mode):
        is_message = PurePath(path.name).suffix.lower() in _MESSAGE_EXTENSIONS
        kind = ItemKind.MESSAGE_FILE if is_message else ItemKind.UNKNOWN_FILE
    return Item(path, kind, file_state(facts), facts.st_mtime_ns)


def is_changed(item: Item) -> bool:
    """True if what stands there now is not what `item` saw, or nothing stands there."""
    try:
        return _item(item.path, item.path.stat(follow_symlinks=False)).state != item.state
    except FileNotFoundError:
        return True


def file_state(facts: os.stat_result) -> Hashable:
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _folder_state(folder: Path) -> tuple[Hashable, int]:
    """The state of a folder's content, one level deep, and the time of its last change."""
    with os.scandir(folder) as entries:
        content = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries if not is_ignored(entry.name)]
    changed = max((facts.st_mtime_ns for _, facts in content), default=0)
    # A hash of the listing: a hundred thousand folders are remembered by a number each.
    return hash(tuple(sorted((name, file_state(facts)) for name, facts in content))), changed


def is_ignored(name: str) -> bool:
    """True for what is no part of an item: hidden files, editors' copies, litter."""
    return name.startswith((".", "~$")) or name.endswith("~") or name.lower() in _LITTER


def is_unfinished(name: str) -> bool:
    return name.lower().endswith(_UNFINISHED)


def _is_filled(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # refused with its reason, not waited for
    return any(name in METADATA_NAMES for name in names) and not any(map(is_unfinished, names))


def _ends_whole(path: Path) -> bool:
    """True if the file ends with the end tag of the element that it begins with."""
    try:
        with open_regular(path) as file:
            head = _plain(file.read(_END))
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            tail = _plain(file.read(_END)).rstrip()
    except FileNotFoundError:
        return False
    except Rejected:
        return True  # as an unreadable folder
    root = _ROOT_TAG.search(head)
    return root is not None and re.search(rb"</" + re.escape(root[1]) + rb"\s*>$", tail) is not None


def _plain(text: bytes) -> bytes:
    """Near enough to ASCII to see tags in: UTF-16 is the other encoding that real writers use."""
    return text.replace(b"\0", b"")
