"""Receiving: what a mailbox hands out becomes messages in the inbox, or is answered with a refusal or a release.

Messages that came whole are consigned at once, together. Those with long attachments are fetched on the side, each by
itself, so that a large document holds up no other; a few at a time, and express documents besides ordinary ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from node.settings_exchange import ReceiverSettings
from node.usecases.attachments import SMALL, Attachments
from node.usecases.consigning import Arrival, Consigning
from node.usecases.downloads import Downloads, Lease
from node.usecases.judging import Arrived, Judge, RefusedArrival, Verdict
from node.usecases.lanes import EXPRESS_LANE
from node.usecases.receipt_intake import ReceiptIntake
from node.usecases.returns import Return, Returns, released
from schemas.envelope import AttachmentSize, Sha256Hex
from schemas.errors import Rejected, Unavailable
from transport.wire import EnvelopeEntry, MailboxAnswer, ReceiptEntry

log = structlog.get_logger()

#: Messages that enter the record in one transaction at most: an express one waits for no longer one.
_TOGETHER: Final = 32

#: Seconds until a message is offered again: one that found all places for downloads taken, one that could not be taken
#: in for a passing reason, one for which there was no space.
_WHEN_A_PLACE_IS_FREE: Final = 5.0
_SOON: Final = 5.0
_WHEN_THERE_IS_SPACE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Download:
    """A message whose long attachments are still to be fetched, on the lease that it came with."""

    arrival: Arrival
    missing: tuple[AttachmentSize, ...]
    lease: Lease


class Receiving:
    """Takes the answers of the mailbox. What it gives back is to be run by `complete`, beside the next answers."""

    def __init__(
        self,
        attachments: Attachments,
        downloads: Downloads,
        *,
        judge: Judge,
        consigning: Consigning,
        receipts: ReceiptIntake,
        returns: Returns,
        settings: ReceiverSettings,
    ) -> None:
        self._attachments = attachments
        self._downloads = downloads
        self._judge = judge
        self._consigning = consigning
        self._receipts = receipts
        self._returns = returns
        self._most_downloads = settings.downloads
        self._running: dict[Sha256Hex, Download] = {}

    async def take(self, answer: MailboxAnswer) -> tuple[Download, ...]:
        """Take in, refuse or release every entry of `answer`; gives the messages that are to be completed.

        Raises Unavailable (`storage-full`, `database-…`) if nothing can be taken in now; the entries are released.
        """
        receipts = [entry for entry in answer.entries if isinstance(entry, ReceiptEntry)]
        envelopes = [entry for entry in answer.entries if isinstance(entry, EnvelopeEntry)]
        left: Sequence[EnvelopeEntry | ReceiptEntry] = answer.entries
        downloads: list[Download] = []
        returns: list[Return] = []
        try:
            later = await self._receipts.take(receipts, answer.proofs, epoch=answer.epoch)
            returns += [released(entry, error) for entry, error in later]
            for start in range(0, len(envelopes), _TOGETHER):
                left = envelopes[start:]
                whole, to_complete, back = await self._sorted(left[:_TOGETHER], answer, downloads)
                if whole:
                    await self._consigning.consign(whole)
                downloads += to_complete
                returns += back
        except Unavailable as error:
            again = [*left, *(download.arrival.message.entry for download in downloads)]
            await self._returns.tell([*returns, *(released(entry, error, seconds=_rest(error)) for entry in again)])
            raise
        await self._returns.tell(returns)
        for download in downloads:
            self._running[download.arrival.message.message_id] = download
        return tuple(downloads)

    async def complete(self, download: Download) -> None:
        """Fetch what is missing of a message and take it in; or release it, when that does not work now."""
        message = download.arrival.message
        try:
            for attachment in download.missing:
                await self._fetch(message.message_id, attachment, download.lease)
            await self._consigning.consign([download.arrival])
        except Unavailable as error:
            log.warning("download.failed", message=message.message_id, rule=error.code, reason=error.message)
            again = released(message.entry, error, seconds=_rest(error), lease=download.lease.token)
            await self._returns.tell([again])
        finally:
            self._running.pop(message.message_id, None)

    async def _fetch(self, message_id: Sha256Hex, attachment: AttachmentSize, lease: Lease) -> None:
        try:
            await self._downloads.fetch(message_id, attachment, lease)
        except Rejected as error:
            # The delivery was taken back meanwhile. If it was not after all, it is offered again.
            raise Unavailable(error.code, error.message) from error

    async def _sorted(
        self, entries: Sequence[EnvelopeEntry], answer: MailboxAnswer, before: Sequence[Download]
    ) -> tuple[list[Arrival], list[Download], list[Return]]:
        """Messages that are here whole, messages to complete beside those `before`, and what becomes of the others."""
        offered = [entry for entry in entries if not self._is_running(entry)]
        judged = await self._judge.judge(offered, answer.proofs) if offered else []
        whole: list[Arrival] = []
        downloads: list[Download] = []
        returns: list[Return] = []
        for entry, verdict in zip(offered, judged, strict=True):
            found = await self._completed(verdict, answer)
            if isinstance(found, Unavailable):
                log.error("message.released", message=entry.message_id, rule=found.code, reason=found.message)
                returns.append(released(entry, found))
            elif isinstance(found, RefusedArrival):
                returns.append(await self._returns.refused(found))
            elif isinstance(found, Arrival):
                whole.append(found)
            elif self._has_place(found, [*before, *downloads]):
                downloads.append(found)
            else:
                returns.append(released(entry, _busy()))
        return whole, downloads, returns

    async def _completed(
        self, verdict: Verdict, answer: MailboxAnswer
    ) -> Arrival | Download | RefusedArrival | Unavailable:
        try:
            return await self._with_attachments(verdict, answer) if isinstance(verdict, Arrived) else verdict
        except Unavailable as error:
            return error

    async def _with_attachments(self, message: Arrived, answer: MailboxAnswer) -> Arrival | Download:
        """The message with the attachments that came along; what is neither among them nor here is to be fetched."""
        short: dict[Sha256Hex, bytes] = {}
        long: list[AttachmentSize] = []
        for attachment in message.envelope.value.extension.attachment_sizes if message.new else ():
            content = message.entry.attachments.get(attachment.digest)
            if content is not None and len(content) <= SMALL:
                short[attachment.digest] = _checked(attachment, content)
            elif attachment.size > SMALL or await self._attachments.small(attachment.digest) is None:
                long.append(attachment)
        arrival = Arrival(message, short, [attachment.digest for attachment in long])
        missing = [attachment for attachment in long if not await self._attachments.is_blob(attachment.digest)]
        if not missing:
            return arrival
        lease = (message.entry.leased_until - answer.hub_time).total_seconds()
        return Download(arrival, tuple(missing), Lease(message.entry.entry, message.entry.lease, max(lease / 3, 1.0)))

    def _is_running(self, entry: EnvelopeEntry) -> bool:
        """Whether the message is being fetched already; its lease has lapsed then, and it goes on with the new one."""
        running = self._running.get(entry.message_id)
        if running is not None:
            running.lease.token = entry.lease
        return running is not None

    def _has_place(self, download: Download, others: Sequence[Download]) -> bool:
        is_express = download.arrival.message.lane == EXPRESS_LANE
        alike = sum(
            1
            for other in (*self._running.values(), *others)
            if (other.arrival.message.lane == EXPRESS_LANE) is is_express
        )
        return alike < self._most_downloads


def _checked(attachment: AttachmentSize, content: bytes) -> bytes:
    if (hashlib.sha256(content).hexdigest(), len(content)) != (attachment.digest, attachment.size):
        raise Unavailable("attachment-digest", f"The hub hands out other bytes than those of {attachment.digest}.")
    return content


def _rest(error: Unavailable) -> float:
    return _WHEN_THERE_IS_SPACE if error.code == "storage-full" else _SOON


def _busy() -> Unavailable:
    busy = Unavailable("downloads-busy", "As many attachments as this node fetches at once are on their way.")
    busy.retry_after = _WHEN_A_PLACE_IS_FREE
    return busy
