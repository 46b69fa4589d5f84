"""Out of out/: look, take what is whole, submit it, put it away.

Items are sent one after the other in the order of their last change, so that a recall follows the document it recalls.
A crash at any point leaves the item in out/ or in sent/; from out/ it is submitted again under the same key, its
digest, and is then known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from adapters.composing import compose_document
from adapters.filedrop.filing import SentNote, file_failed, file_sent
from adapters.filedrop.folders import DropFolders
from adapters.filedrop.reading import Changed, Parcel, ReadFolder, ReadMessage, read_item
from adapters.filedrop.watching import Item, Watcher
from adapters.sdk import NodeApi, Submission, Submitted
from adapters.spool import Spool
from runtime.clock import Clock
from runtime.files import storage_error
from schemas.envelope import Selector
from schemas.errors import CongvanError, Rejected, Unavailable
from schemas.limits import Limits
from schemas.message import Document, Message
from schemas.metadata import expiry_from_metadata, selectors_from_metadata
from schemas.recipients import recipient_text

log = structlog.get_logger()

#: Seconds until an item that could not be submitted is tried again: doubled each time, up to the longest.
_FIRST_WAIT = 2.0
_LONGEST_WAIT = 300.0

#: After so many failures one after the other it is the node that cannot, not the items: the others wait too.
_FAILURES_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Retry:
    """Why an item waits in out/: `state` as it was tried, `due` in seconds of the loop's clock."""

    state: Hashable
    failures: int
    due: float
    reason: str


class Outbox:
    """out/ of one drop.

    `waiting` is the number of items in it, `retries` those that were tried in vain, by name; `look_seconds` how long
    the last look took.
    """

    def __init__(
        self, folders: DropFolders, watcher: Watcher, node: NodeApi, *, spool: Path, limits: Limits, clock: Clock
    ) -> None:
        self.retries: dict[str, Retry] = {}
        self.waiting = 0
        self.look_seconds = 0.0
        self._folders = folders
        self._watcher = watcher
        self._node = node
        self._spool = spool
        self._limits = limits
        self._clock = clock

    async def send_what_is_ready(self, now: float, stop: asyncio.Event) -> None:
        """One look at out/ and one try at each item that is ready; ends early when `stop` is set.

        `now` is of a clock that never goes back, in seconds. Raises what `storage_errors` raises if out/ itself cannot
        be read.
        """
        began = time.perf_counter()
        view = await asyncio.to_thread(self._watcher.look, now)
        self.look_seconds = time.perf_counter() - began
        self.waiting = len(view.ready) + view.waiting
        present = {item.name for item in view.ready}
        self.retries = {name: retry for name, retry in self.retries.items() if name in present}
        in_a_row = 0
        overtaking = False
        for item in view.ready:
            if stop.is_set() or in_a_row >= _FAILURES_IN_A_ROW:
                return
            retry = self.retries.get(item.name)
            if retry is not None and retry.state == item.state and retry.due > now:
                overtaking = True
                continue
            gone = await self._try(item, now, overtaking=overtaking)
            in_a_row = 0 if gone else in_a_row + 1
            overtaking = overtaking or not gone

    async def _try(self, item: Item, now: float, *, overtaking: bool) -> bool:
        """Send or refuse `item`, which may be `overtaking` earlier ones that wait; False if it has to wait as well."""
        try:
            await self._send(item, overtaking=overtaking)
        except Changed:
            return True
        except CongvanError as error:
            # A refusal of the item was dealt with: a `Rejected` here says that it cannot be put away.
            self._postpone(item, now, error)
            return False
        except OSError as error:
            self._postpone(item, now, storage_error(error, item.path))
            return False
        except Exception as error:
            # One item that finds a fault of ours must not stop the others.
            log.exception("filedrop.fault", item=item.name)
            self._postpone(item, now, Unavailable("adapter-fault", f"The adapter failed: {error!r}."))
            return False
        self.retries.pop(item.name, None)
        self._watcher.forget(item)
        self.waiting -= 1
        return True

    async def _send(self, item: Item, *, overtaking: bool) -> None:
        spool = await asyncio.to_thread(Spool, self._spool)
        with spool:
            try:
                parcel = await asyncio.to_thread(read_item, item, spool, self._limits)
                submission = await self._submission(parcel)
                submitted = await self._node.submit(submission)
            except Rejected as error:
                if overtaking and error.code == "document-unknown":
                    # What it speaks of may be one of those: a recall is not refused because its document waits.
                    raise Unavailable("document-awaited", f"{error.message} Earlier items still wait.") from error
                await self._refuse(item, error)
                return
        note = _note(submission, submitted, parcel, self._clock())
        target = await asyncio.to_thread(file_sent, item.path, note, self._folders)
        log.info("filedrop.sent", item=item.name, message=note.message_id, repeated=note.repeated, filed=str(target))

    async def _submission(self, parcel: Parcel) -> Submission:
        expires_at: datetime | None = None
        selectors: tuple[Selector, ...] = ()
        if isinstance(parcel, ReadFolder):
            now = self._clock()
            selectors = selectors_from_metadata(parcel.metadata)
            message: Message = await compose_document(
                self._node, parcel.metadata, parcel.facts, now=now, selectors=selectors
            )
            attachments = parcel.attachments
            expires_at = expiry_from_metadata(parcel.metadata, now)
        else:
            message, attachments = parcel.classic.message, parcel.classic.attachments
        return Submission(
            key=parcel.digest,
            fingerprint=parcel.digest,
            message=message,
            attachments=attachments,
            expires_at=expires_at,
            selectors=selectors,
        )

    async def _refuse(self, item: Item, error: Rejected) -> None:
        target = await asyncio.to_thread(file_failed, item.path, error, self._clock(), self._folders)
        log.warning("filedrop.failed", item=item.name, rule=error.code, reason=str(error), filed=str(target))

    def _postpone(self, item: Item, now: float, error: CongvanError) -> None:
        before = self.retries.get(item.name)
        failures = before.failures + 1 if before is not None and before.state == item.state else 1
        wait = min(_FIRST_WAIT * 2 ** min(failures - 1, 10), _LONGEST_WAIT)
        if isinstance(error, Unavailable) and error.retry_after is not None:
            wait = error.retry_after
        self.retries[item.name] = Retry(item.state, failures, now + wait, str(error))
        log.warning("filedrop.waits", item=item.name, rule=error.code, reason=str(error), retry_seconds=wait)


def _note(submission: Submission, submitted: Submitted, parcel: Parcel, at: datetime) -> SentNote:
    message = submission.message
    named = [organ.organ_id for organ in message.recipients] if isinstance(message, Document) else []
    document = message if isinstance(message, Document) else None
    return SentNote(
        message_id=submitted.message_id,
        key=submission.key,
        repeated=submitted.repeated,
        sender=message.sender.organ_id,
        recipients=[*(code.value for code in named), *map(recipient_text, submission.selectors)],
        document_id=document.document_id if document else None,
        subject=document.subject if document else None,
        sent_at=at,
        warnings=parcel.classic.warnings if isinstance(parcel, ReadMessage) else (),
    )
