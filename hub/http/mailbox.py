"""`GET /v1/mailbox?wait=&limit=`: what waits for the connection, leased to it."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from aiohttp import web

from hub.http.peer import peer_of
from hub.settings_exchange import MailboxSettings
from hub.store.mailbox_contents import WaitingEnvelope, WaitingReceipt
from hub.usecases.mailbox import Batch, HandedOut, Mailbox
from schemas.errors import Rejected
from schemas.limits import KIB
from transport import paths
from transport.wire import EnvelopeEntry, MailboxAnswer, ReceiptEntry, ReceiptRef

#: A JSON answer of more bytes than this is written in a thread: base64 of a megabyte takes milliseconds.
_QUICK: Final = 128 * KIB


def mailbox_routes(mailbox: Mailbox, settings: MailboxSettings, epoch: str) -> list[web.RouteDef]:
    """The routes of this module."""

    async def fetch(request: web.Request) -> web.Response:
        peer = peer_of(request)
        batch = await mailbox.fetch(
            peer.connection,
            wait=_wait(request),
            limit=_limit(request, settings.entries),
            listening=lambda: request.transport is not None and not request.transport.is_closing(),
        )
        answer = _answer(batch, epoch)
        body = answer.encode() if _bytes_of(batch) <= _QUICK else await asyncio.to_thread(answer.encode)
        return web.Response(body=body, content_type=paths.JSON_TYPE)

    return [web.get(paths.MAILBOX, fetch, allow_head=False)]


def _answer(batch: Batch, epoch: str) -> MailboxAnswer:
    proofs: dict[str, bytes] = {}
    return MailboxAnswer(
        epoch=epoch,
        hub_time=batch.hub_time,
        directory_version=batch.directory_version,
        reported=batch.marks.reported,
        newest_sent=batch.marks.newest_message,
        entries=tuple(_entry(batch, number, entry, proofs) for number, entry in batch.entries.items()),
        proofs=proofs,
    )


def _entry(batch: Batch, number: int, entry: HandedOut, proofs: dict[str, bytes]) -> EnvelopeEntry | ReceiptEntry:
    match entry:
        case WaitingEnvelope():
            return EnvelopeEntry(
                entry=number,
                lease=batch.lease,
                leased_until=batch.until,
                message_id=entry.message_id,
                recipients=entry.recipients,
                accepted_at=entry.accepted_at,
                acceptance=_ref(entry.acceptance, proofs),
                envelope=entry.envelope,
                attachments=entry.attachments,
            )
        case WaitingReceipt():
            return ReceiptEntry(entry=number, lease=batch.lease, leased_until=batch.until, receipt=_ref(entry, proofs))


def _ref(receipt: WaitingReceipt, proofs: dict[str, bytes]) -> ReceiptRef:
    """The receipt, its proof added to those of the answer: many receipts share one."""
    proofs[receipt.proof] = receipt.proof_body
    return ReceiptRef(receipt=receipt.receipt, proof=receipt.proof)


def _bytes_of(batch: Batch) -> int:
    return sum(
        len(entry.envelope) + sum(map(len, entry.attachments.values())) if isinstance(entry, WaitingEnvelope) else KIB
        for entry in batch.entries.values()
    )


def _wait(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    try:
        wait = float(text)
    except ValueError:
        wait = math.nan
    if not 0 <= wait < math.inf:
        raise Rejected(
            "request-malformed",
            f"wait: {text[:20]!r} is no number of seconds.",
            element="wait",
            mend="Give the seconds to wait for a first entry.",
        )
    return wait


def _limit(request: web.Request, most: int) -> int:
    text = request.query.get("limit", str(most))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) > 0):
        raise Rejected(
            "request-malformed",
            f"limit: {text[:20]!r} is no number of entries.",
            element="limit",
            mend="Give the most entries to lease, 1 or more.",
        )
    return int(text)
