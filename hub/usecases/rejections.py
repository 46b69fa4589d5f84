"""Refused submissions: the hub signs that it refused, and keeps what it signed.

Refusals are judged anew each time, so of one message from one code the newest is kept. A peer can have as much refused
as it likes: of each connection a set number is kept, the oldest gives way.
"""

from __future__ import annotations

import secrets
from functools import partial

from hub.store import rejections
from hub.store.rejections import StoredRejection
from hub.store.submissions import SubmissionKey
from hub.usecases.receipt_signer import ReceiptSigner
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.reasons import plain_reason
from schemas.receipts import Reason, Receipt, ReceiptEvent


class Rejections:
    """Attests refusals; keeps the newest `most` of each connection."""

    def __init__(self, database: Database, signer: ReceiptSigner, clock: Clock, *, most: int) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._most = most

    async def attested(self, key: SubmissionKey, reason: Rejected) -> Rejected:
        """`reason`, with a receipt of it that is on the disk.

        Raises Unavailable if it cannot be kept now: then nothing is said yet, and the same will be refused later.
        """
        now = self._clock()
        receipt = Receipt(
            receipt_id=secrets.token_hex(16),
            event=ReceiptEvent.SUBMISSION_REJECTION,
            issuer=self._signer.issuer,
            message_id=key.message_id,
            sender=AgencyCode(key.from_code),
            occurred_at=now,
            reason=Reason(reason.code, plain_reason(reason.message)),
        )
        signed = await self._signer.sign(receipt)
        stored = StoredRejection(key, now, reason.code, signed)
        await self._database.write(partial(rejections.put, rejection=stored, most=self._most))
        reason.receipt = signed
        return reason
