"""The operator takes deliveries back that nobody has yet: they end cancelled, and their sender is told why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from hub.store import audit_log, fanouts, mailboxes
from hub.store.audit_log import AuditEntry
from hub.store.deliveries import DeliveryState
from hub.store.messages import KnownMessage
from hub.store.metadata import Transaction
from hub.usecases.endings import Doomed, Ending, Endings
from hub.usecases.naming import message_named
from hub.usecases.redelivery import deliveries_of
from runtime.clock import Clock
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.receipts import Reason

#: Deliveries that end in one transaction.
TOGETHER: Final = 200

#: A reason stands in each receipt, which is short.
_REASON_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Which deliveries of a message were cancelled, and which were consigned in the same moment."""

    message_id: Sha256Hex
    recipients: tuple[str, ...]
    escaped: tuple[str, ...]


class Cancellation:
    """Cancels what is queued. Who holds a lease may still consign it: that counts, and supersedes the cancellation."""

    def __init__(self, database: Database, endings: Endings, clock: Clock) -> None:
        self._database = database
        self._endings = endings
        self._clock = clock

    async def cancel(self, name: str, code: AgencyCode | None, *, reason: str, actor: str) -> Cancelled:
        """Cancel what is queued of the message that `name` means: to the agency `code`, or to all.

        Many deliveries end in several transactions; after a crash between them the same order ends the rest.

        Raises `reason-malformed`, `message-unknown`, `message-ambiguous`, `recipient-foreign`, `nothing-to-cancel`.
        """
        text = " ".join(reason.split())
        if not 1 <= len(text) <= _REASON_CHARACTERS:
            raise Rejected(
                "reason-malformed",
                f"The reason has {len(text)} characters; the sender is told it.",
                element="--reason",
                mend=f"Give it in 1 to {_REASON_CHARACTERS} characters.",
            )
        message = await self._database.read(lambda transaction: message_named(transaction, name))
        # What is not written yet cannot end: the fan-out of this one message is done here.
        finish = partial(fanouts.go_on_with, message=message.message, at=self._clock())
        while await self._database.write(finish) is not None:
            pass
        message_id, doomed = await self._database.write(
            lambda transaction: self._order(transaction, message, code, reason=text, actor=actor)
        )
        ending = Ending(DeliveryState.CANCELLED, "delivery.cancelled", Reason("cancelled", text))
        ended: set[str] = set()
        for start in range(0, len(doomed), TOGETHER):
            part = doomed[start : start + TOGETHER]
            ended.update(each.recipient for each in await self._endings.end(part, ending))
        recipients = [each.recipient for each in doomed]
        return Cancelled(
            message_id,
            tuple(code for code in recipients if code in ended),
            tuple(code for code in recipients if code not in ended),
        )

    def _order(
        self, transaction: Transaction, message: KnownMessage, code: AgencyCode | None, *, reason: str, actor: str
    ) -> tuple[Sha256Hex, list[Doomed]]:
        now = self._clock()
        chosen = deliveries_of(transaction, message, code)
        queued = [each for each in chosen if each.state is DeliveryState.QUEUED]
        if not queued:
            states = ", ".join(sorted({each.state.value for each in chosen}))
            raise Rejected(
                "nothing-to-cancel",
                f"No delivery of the message is queued: they are {states}.",
                mend="What has ended stays as it is; a document that arrived is recalled by its sender.",
            )
        entries = mailboxes.entries_of(transaction, message.message)
        recipients = [each.recipient for each in queued]
        detail = {"recipients": recipients, "reason": reason}
        audit_log.note(transaction, AuditEntry(now, actor, "delivery.cancelled", message.message_id, detail))
        doomed = [Doomed(entries[each.connection], message, each.recipient, each.round) for each in queued]
        return message.message_id, doomed
