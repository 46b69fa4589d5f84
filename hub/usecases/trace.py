"""Where is my document? The trace of a message, for the nodes of its sender and of its recipients."""

from __future__ import annotations

from functools import partial
from typing import Final

from hub.store import messages, traces
from hub.store.metadata import Transaction
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Rejected
from transport.wire import DeliveryTrace, MessageTrace, ReceiptRef

#: Receipts that one trace carries at most; a circular to thousands has more, and each sender has them in its own store.
MOST_RECEIPTS: Final = 2000


class Traces:
    """Answers where messages are."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def trace(self, message_id: str, connection: str) -> MessageTrace:
        """The trace of a message: all of it for the connection that sent it.

        A recipient's connection sees its own deliveries alone; for everybody else, and for an id that is none, there is
        no such message (`message-unknown`).
        """
        found = None
        if is_sha256_hex(message_id):
            found = await self._database.read(partial(self._trace, message_id=message_id, connection=connection))
        if found is None:
            raise Rejected("message-unknown", "There is no such message.", mend="Check the message id.")
        return found

    def _trace(self, transaction: Transaction, message_id: Sha256Hex, connection: str) -> MessageTrace | None:
        message = messages.known(transaction, [message_id]).get(message_id)
        if message is None:
            return None
        seen_by = None if connection == message.connection else connection
        records = traces.delivery_records(transaction, message, seen_by, at=self._clock())
        if not records:
            return None
        receipts = list(traces.receipt_records(transaction, message, seen_by, most=MOST_RECEIPTS))
        return MessageTrace(
            message_id=message.message_id,
            sender=message.sender,
            kind=message.kind,
            document_id=message.document_id,
            priority=message.priority,
            accepted_at=message.accepted_at,
            expires_at=message.expires_at,
            deliveries=tuple(
                DeliveryTrace(
                    recipient=record.recipient,
                    state=record.state,
                    attempts=record.attempts,
                    updated_at=record.updated_at,
                    last_error=record.last_error,
                )
                for record in records
            ),
            receipts=tuple(ReceiptRef(receipt=record.receipt, proof=record.proof) for record in receipts),
            proofs={record.proof: record.proof_body for record in receipts},
        )
