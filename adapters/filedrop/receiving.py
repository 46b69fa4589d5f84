"""Into in/: a message is staged whole beside what people see, and shown by one rename, once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import structlog

from adapters.classic_deliveries import as_received, attachment_sources, save_attachment
from adapters.filedrop.committed_keys import CommittedKeys
from adapters.filedrop.folders import STAGED_PREFIX, DropFolders, no_modes_on_some_shares
from adapters.filedrop.summary import summary
from adapters.sdk import Delivery, DeliveryKey, IncomingAttachment, NodeApi
from runtime.clock import Clock
from runtime.files import PRIVATE_FOLDER, storage_errors, sync_folder
from schemas.classic_writer import write_classic
from schemas.codes import AgencyCode
from schemas.envelope import is_sha256_hex
from schemas.errors import CongvanError, MalformedCode, Rejected
from schemas.message import Document, Message
from schemas.names import safe_name

log = structlog.get_logger()

ATTACHMENTS = "attachments"


class NotCarried(Exception):  # noqa: N818 - says what happened
    """The classic form cannot carry the message, today or ever; the text says why."""


class Inbox:
    """in/ of one drop."""

    def __init__(self, folders: DropFolders, keys: CommittedKeys, node: NodeApi, clock: Clock) -> None:
        self._folders = folders
        self._keys = keys
        self._node = node
        self._clock = clock

    async def put(self, delivery: Delivery) -> None:
        """Show `delivery` as a folder, unless in/ has had it already; durable when this returns.

        Not to be run twice at once for one key. Raises NotCarried, and the errors of storage and of the node, after
        which nothing of it is left.
        """
        if not await self._keys.has(delivery.key):
            await self._stage(delivery)
            await self._keys.commit(delivery.key, self._clock())
        await asyncio.to_thread(self._show, delivery.key)

    async def recover(self) -> None:
        """After a start: show what was committed and not shown, remove what was not staged to its end.

        What resists is left to the next hand-over of its key, which does the same.
        """
        for staged in await asyncio.to_thread(lambda: list(self._folders.incoming.glob(f"{STAGED_PREFIX}*"))):
            key = _key_of(staged.name.removeprefix(STAGED_PREFIX))
            try:
                if key is not None and await self._keys.has(key):
                    await asyncio.to_thread(self._show, key)
                else:
                    await asyncio.to_thread(_remove, staged)
            except (OSError, CongvanError) as error:
                log.warning("filedrop.unrecovered", folder=staged.name, reason=str(error))

    def _shown(self, key: DeliveryKey) -> Path:
        return self._folders.incoming / str(key)

    def _staged(self, key: DeliveryKey) -> Path:
        return self._folders.incoming / f"{STAGED_PREFIX}{key}"

    def _show(self, key: DeliveryKey) -> None:
        """Rename what is staged under a committed key; nothing is staged if that was done before."""
        staged, shown = self._staged(key), self._shown(key)
        with storage_errors(shown):
            if _stands(shown):
                # The rename was made before, or the keys were lost, or restored from a backup older than the folder.
                _remove(staged)
            elif staged.is_dir():
                _rename(staged, shown)
            sync_folder(self._folders.incoming)

    async def _stage(self, delivery: Delivery) -> None:
        folder = self._staged(delivery.key)
        await asyncio.to_thread(self._begin, folder)
        try:
            taken: list[str] = []
            for attachment in delivery.attachments:
                taken.append(safe_name(attachment.name, taken))
                await self._save(attachment, folder / ATTACHMENTS / taken[-1])
            message = await as_received(delivery, self._node)
            await asyncio.to_thread(self._write_rest, delivery, message, taken, folder)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(_remove, folder))
            raise

    def _begin(self, folder: Path) -> None:
        with storage_errors(folder):
            _remove(folder)
            # Nobody else reaches what is being staged; it gets its own mode when it is complete.
            folder.mkdir(mode=PRIVATE_FOLDER)

    async def _save(self, attachment: IncomingAttachment, path: Path) -> None:
        await asyncio.to_thread(self._folders.make, path.parent)
        with storage_errors(path):
            file = os.fdopen(await asyncio.to_thread(self._folders.create, path), "wb")
            try:
                await save_attachment(self._node, attachment, file, path)
                await asyncio.to_thread(_sync, file)
            finally:
                file.close()

    def _write_rest(self, delivery: Delivery, message: Message, names: Sequence[str], folder: Path) -> None:
        """Write all but the attachments, let others in, and sync everything down to the name in in/."""
        form = folder / ("document.edxml" if isinstance(message, Document) else "status.edxml")
        with storage_errors(folder):
            with self._new_file(form) as file:
                try:
                    paths = [folder / ATTACHMENTS / name for name in names]
                    write_classic(message, attachment_sources(delivery.attachments, paths), file.write)
                except Rejected as error:
                    raise NotCarried(str(error)) from error
            with self._new_file(folder / "sealed.xml") as file:
                file.write(delivery.sealed)
            with self._new_file(folder / "summary.txt") as file:
                file.write(summary(delivery, names).encode())
            with no_modes_on_some_shares():
                folder.chmod(self._folders.folder_mode)
            for synced in (folder / ATTACHMENTS, folder, self._folders.incoming):
                if synced.is_dir():
                    sync_folder(synced)

    @contextlib.contextmanager
    def _new_file(self, path: Path) -> Iterator[BinaryIO]:
        with os.fdopen(self._folders.create(path), "wb") as file:
            yield file
            _sync(file)


def _key_of(name: str) -> DeliveryKey | None:
    """The key that a folder is named after, None for a name that is none."""
    message_id, _, code = name.partition("-")
    try:
        return DeliveryKey(message_id, AgencyCode.parse(code)) if is_sha256_hex(message_id) else None
    except MalformedCode:
        return None


def _rename(staged: Path, shown: Path) -> None:
    try:
        staged.rename(shown)
    except OSError:
        # As when an item is put away: a server may have done what it answers an error to.
        if os.path.lexists(staged):
            raise


def _stands(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink()


def _remove(path: Path) -> None:
    """Remove what an unfinished staging left; whatever resists is in the way of the next try, which says so."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
