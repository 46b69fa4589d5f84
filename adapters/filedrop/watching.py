"""What stands in out/, and what of it is whole.

Nothing says that a file is complete: no close is seen across a network share, and a copy from another file system grows
under its final name. So an item is taken when it looked the same twice, for a while, and ends as it should.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Final

import structlog

from adapters.filedrop.opening import open_regular
from runtime.files import storage_errors
from schemas.errors import Rejected

log = structlog.get_logger()

METADATA_NAMES = ("meta.toml", "meta.json")
_MESSAGE_EXTENSIONS = frozenset({".edxml", ".xml"})

#: Names that programs give to a file while they write or fetch it.
_UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".crdownload", ".download")
#: What file managers leave beside the files of people.
_LITTER = frozenset({"thumbs.db", "desktop.ini"})

#: So many items are looked at in one go, and then a pause of so many seconds.
_AT_A_TIME: Final = 256
_PAUSE: Final = 0.001
#: For so many seconds an item is remembered that no listing names.
_MEMORY: Final = 60.0
#: A folder that is not filled, and seems to have the names that it had, is listed every so many seconds.
_LISTED_AGAIN: Final = 30.0

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


@dataclass(frozen=True, slots=True)
class _Content:
    """What a folder holds: its state, the time of the last change in it, and whether it is filled."""

    state: Hashable
    changed_ns: int
    is_filled: bool


@dataclass(slots=True)
class _Sighting:
    """How an item looked, since when, when last, and until when it waits if it stays as it is.

    Of a folder that is not filled, `listed` is its own state, and the time, when its content was listed last.
    """

    state: Hashable
    since: float
    last: float
    waits_until: float
    listed: tuple[Hashable, float] | None = None


class Watcher:
    """Remembers how each item looked, from one look to the next."""

    def __init__(self, folder: Path, *, settle_seconds: float, incomplete_seconds: float) -> None:
        self._folder = folder
        self._settle = settle_seconds
        self._incomplete = incomplete_seconds
        self._sightings: dict[str, _Sighting] = {}

    def look(self, now: float) -> View:
        """Look at the folder; `now` is of a clock that never goes back, in seconds.

        The order is that in which changes were seen, for those of one look that of their times: the clocks of a
        share's server and of whoever writes there may differ, and some tell whole seconds alone.
        """
        ready: list[tuple[float, Item]] = []
        seen = 0
        with storage_errors(self._folder), os.scandir(self._folder) as entries:
            for entry in entries:
                if is_ignored(entry.name) or is_unfinished(entry.name):
                    continue
                seen += 1
                if seen % _AT_A_TIME == 0:
                    # A hundred thousand items are no reason for whoever shares the interpreter to wait.
                    time.sleep(_PAUSE)
                try:
                    item = self._still(entry, now)
                    if item is not None and self._is_ready(item, now):
                        ready.append((self._sightings[entry.name].since, item))
                except FileNotFoundError:
                    seen -= 1  # taken back between the listing and here, or the listing is out of date
                except OSError as error:
                    # A share's answer about one item (stale, busy, broken) says nothing of the others.
                    log.debug("filedrop.unseen", item=entry.name, reason=str(error))
        # A listing of a share may leave a name out for once: what was seen of it is not forgotten at once.
        self._sightings = {name: one for name, one in self._sightings.items() if now - one.last <= _MEMORY}
        ready.sort(key=lambda one: (one[0], one[1].changed_ns, one[1].name))
        return View(tuple(item for _, item in ready), waiting=seen - len(ready))

    def forget(self, item: Item) -> None:
        """`item` was put away: what bears its name from now on is another one."""
        self._sightings.pop(item.name, None)

    def _still(self, entry: os.DirEntry[str], now: float) -> Item | None:
        """The item if it has looked the same for long enough; what is new or has changed is noted."""
        facts = entry.stat(follow_symlinks=False)
        sighting = self._sightings.get(entry.name)
        content = None
        if stat.S_ISDIR(facts.st_mode):
            if sighting is not None and _needs_no_listing(sighting, facts, now):
                sighting.last = now
                return None
            content = _content(Path(entry.path), facts)
        state = content.state if content else file_state(facts)
        is_new = sighting is None or sighting.state != state
        if sighting is None or is_new:
            sighting = self._sightings[entry.name] = _Sighting(state, now, now, now + self._settle)
        sighting.last = now
        if content is not None and not content.is_filled:
            # Someone may be filling it by hand: without its metadata it waits for as long as they take.
            sighting.listed = (file_state(facts), now)
            return None
        return None if is_new or now < sighting.waits_until else _item(Path(entry.path), facts, content)

    def _is_ready(self, item: Item, now: float) -> bool:
        sighting = self._sightings[item.name]
        is_whole = (
            item.kind in (ItemKind.DOCUMENT_FOLDER, ItemKind.NO_FILE)
            or now - sighting.since >= self._incomplete
            or (item.kind is ItemKind.MESSAGE_FILE and _ends_whole(item.path))
        )
        if not is_whole:
            # Its end is not read again before it changes, or is late.
            sighting.waits_until = sighting.since + self._incomplete
        return is_whole


def _needs_no_listing(sighting: _Sighting, facts: os.stat_result, now: float) -> bool:
    """True for a folder without metadata that has the names that it had: a listing is a call to the server for each.

    After a while it is listed all the same: a name that came within the same tick of a coarse clock changes no time.
    """
    if sighting.listed is None:
        return False
    state, at = sighting.listed
    return state == file_state(facts) and now - at < _LISTED_AGAIN


def _item(path: Path, facts: os.stat_result, content: _Content | None) -> Item:
    if content is not None:
        return Item(path, ItemKind.DOCUMENT_FOLDER, content.state, content.changed_ns)
    kind = ItemKind.NO_FILE
    if stat.S_ISREG(facts.st_mode):
        is_message = PurePath(path.name).suffix.lower() in _MESSAGE_EXTENSIONS
        kind = ItemKind.MESSAGE_FILE if is_message else ItemKind.UNKNOWN_FILE
    return Item(path, kind, file_state(facts), facts.st_mtime_ns)


def is_changed(item: Item) -> bool:
    """True if what stands there now is not what `item` saw, or nothing stands there."""
    try:
        facts = item.path.stat(follow_symlinks=False)
        state = _content(item.path, facts).state if stat.S_ISDIR(facts.st_mode) else file_state(facts)
    except FileNotFoundError:
        return True
    return state != item.state


def file_state(facts: os.stat_result) -> Hashable:
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _content(folder: Path, facts: os.stat_result) -> _Content:
    """What the folder holds, one level deep. One that may not be read is refused with its reason, not waited for."""
    try:
        with os.scandir(folder) as entries:
            found = [(one.name, one.stat(follow_symlinks=False)) for one in entries if not is_ignored(one.name)]
    except PermissionError:
        return _Content(file_state(facts), facts.st_mtime_ns, is_filled=True)
    names = [name for name, _ in found]
    return _Content(
        # A hash of the listing: a hundred thousand folders are remembered by a number each.
        state=hash(tuple(sorted((name, file_state(one)) for name, one in found))),
        changed_ns=max((one.st_mtime_ns for _, one in found), default=0),
        is_filled=any(name in METADATA_NAMES for name in names) and not any(map(is_unfinished, names)),
    )


def is_ignored(name: str) -> bool:
    """True for what is no part of an item: hidden files, editors' copies, litter."""
    return name.startswith((".", "~$")) or name.endswith("~") or name.lower() in _LITTER


def is_unfinished(name: str) -> bool:
    return name.lower().endswith(_UNFINISHED)


def _ends_whole(path: Path) -> bool:
    """True if the file ends with the end tag of the element that it begins with."""
    try:
        with open_regular(path) as file:
            head = _plain(file.read(_END))
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            tail = _plain(file.read(_END)).rstrip()
    except Rejected:
        return True  # as an unreadable folder
    root = _ROOT_TAG.search(head)
    return root is not None and re.search(rb"</" + re.escape(root[1]) + rb"\s*>$", tail) is not None


def _plain(text: bytes) -> bytes:
    """Near enough to ASCII to see tags in: UTF-16 is the other encoding that real writers use."""
    return text.replace(b"\0", b"")
