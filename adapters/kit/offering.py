"""What the stand-in node offers to software that fetches: listed, locked, read, settled."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from adapters.kit.messages import NOW, Case
from adapters.kit.record import Handover, Record
from adapters.sdk import Accepted, Delivery, DeliveryKey, Lock, MessageKind, Never, Refused, Settlement, Waiting
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.message import Document, Priority

_STATES: Final[Mapping[type[Settlement], str]] = {Accepted: "accepted", Refused: "refused", Never: "never"}


class Offering:
    """The part of `adapters.sdk.NodeApi` that is about waiting messages. Locks run by the clock of the machine."""

    def __init__(self, record: Record, cases: Mapping[str, Case]) -> None:
        self._record = record
        self._cases = cases

    def listed(
        self,
        recipients: Collection[AgencyCode],
        kind: MessageKind | None,
        *,
        parked: bool,
        unlocked: bool,
        after: str,
        limit: int,
    ) -> Sequence[Waiting]:
        if not after.isdecimal() and after:
            raise Rejected(
                "cursor-malformed", f"{after!r} is no cursor.", mend="Give the `cursor` of a listed message."
            )
        shown = [
            _waiting(kept, self._cases[kept.key])
            for kept in self._record.open_handovers()
            if kept.key in self._cases and (parked or kept.state == "awaiting")
            if not (unlocked and kept.locked_until > time.time())
        ]
        # The most urgent first, so that a cursor is a place in the list and no number of the record.
        shown.sort(key=lambda one: -one.priority)
        shown = [
            one
            for one in shown
            if (not recipients or one.key.recipient in recipients) and (kind is None or one.kind is kind)
        ]
        if after:
            place = next((place for place, one in enumerate(shown) if one.cursor == after), len(shown) - 1)
            shown = shown[place + 1 :]
        return shown[:limit]

    def lock(self, keys: Sequence[DeliveryKey], *, seconds: float, renew: str | None) -> Lock:
        now = time.time()
        token = renew or secrets.token_hex(16)
        locked = []
        for key in keys:
            kept = self._record.handover(str(key))
            if kept is None or kept.state != "awaiting" or (kept.locked_until > now and kept.lock != token):
                continue
            self._record.lock(str(key), token, now + seconds)
            locked.append(key)
        return Lock(token, tuple(locked), datetime.fromtimestamp(now + seconds, UTC))

    def unlock(self, keys: Sequence[DeliveryKey], *, lock: str) -> None:
        for key in keys:
            kept = self._record.handover(str(key))
            if kept is not None and kept.lock == lock:
                self._record.lock(str(key), None, 0)

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        known = self._record.handover(str(key)) is not None
        return self._cases[str(key)].delivery if known and str(key) in self._cases else None

    def settle(self, key: DeliveryKey, outcome: Settlement, *, lock: str | None) -> None:
        kept = self._record.handover(str(key))
        if kept is None:
            raise Rejected("delivery-unknown", f"No message {key} was offered.", mend="Take a key of `waiting`.")
        state = _STATES[type(outcome)]
        if kept.state == state:
            return
        if kept.state not in ("awaiting", "never"):
            raise Rejected("delivery-settled", f"The message {key} is {kept.state} already.", mend="Leave it.")
        if kept.locked_until > time.time() and kept.lock != lock:
            raise Rejected("delivery-locked", f"Somebody else has {key} locked.", mend="Wait until the lock lapses.")
        self._record.end(str(key), state, None if isinstance(outcome, Accepted) else outcome.reason)


def _waiting(kept: Handover, case: Case) -> Waiting:
    delivery = case.delivery
    message = delivery.message
    document = message if isinstance(message, Document) else None
    return Waiting(
        key=delivery.key,
        kind=MessageKind.DOCUMENT if document else MessageKind.STATUS,
        sender=message.sender.organ_id,
        sender_name=message.sender.organ_name,
        document_id=message.document_id if isinstance(message, Document) else message.response_for.document_id,
        code=document.code if document else None,
        subject=document.subject if document else None,
        business=document.business_type if document else None,
        status=None if isinstance(message, Document) else message.status_code,
        priority=document.priority if document else Priority.NORMAL,
        about=delivery.about,
        received_at=delivery.received_at,
        since=NOW,
        locked_until=datetime.fromtimestamp(kept.locked_until, UTC) if kept.locked_until > time.time() else None,
        parked=kept.reason if kept.state == "never" else None,
        cursor=str(kept.number),
    )
