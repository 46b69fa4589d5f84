"""Waiting on the command line until a message has arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from node.foundation import Foundation
from node.store.records import OutboxRow
from node.store.states import DeliveryState, OutboxState
from runtime.terminal import moving
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected, Unavailable

#: Seconds between two looks at the record: the daemon writes it, in a process of its own.
_LOOK_EVERY = 0.25

_UNDER_WAY = frozenset({DeliveryState.WAITING, DeliveryState.ACCEPTED})
_RECEIVED = frozenset({DeliveryState.CONSIGNED, DeliveryState.HANDED_OVER})


def all_received(row: OutboxRow) -> bool:
    return all(recipient.delivery in _RECEIVED for recipient in row.recipients)


async def wait_for_receipts(
    node: Foundation, message_id: Sha256Hex, limit: timedelta, *, is_running: bool
) -> OutboxRow:
    """The message's row once every recipient has it, or will never have it.

    Raises Rejected if the hub refuses the message; Unavailable: `node-not-running`, `wait-ended`.
    """
    if not is_running:
        raise Unavailable(
            "node-not-running",
            f"No daemon is running here: the message {message_id} waits in the outbox.",
            mend="Start `congvan node serve`.",
        )
    with moving("Uploading") as show:
        return await _until_received(node, message_id, limit, show)


async def _until_received(
    node: Foundation, message_id: Sha256Hex, limit: timedelta, show: Callable[[int, int], None]
) -> OutboxRow:
    row = await _row(node, message_id)
    ends_at = asyncio.get_running_loop().time() + limit.total_seconds()
    while any(recipient.delivery in _UNDER_WAY for recipient in row.recipients):
        if row.state is OutboxState.REFUSED:
            trouble = row.trouble
            raise Rejected(
                trouble.code if trouble else "refused",
                trouble.text if trouble else "The hub refused the message.",
                element=trouble.element if trouble else None,
                line=trouble.line if trouble else None,
                mend=trouble.mend if trouble else None,
            )
        if asyncio.get_running_loop().time() >= ends_at:
            reason = f" ({row.trouble.text})" if row.trouble else ""
            raise Unavailable(
                "wait-ended",
                f"The message {message_id} is still on its way{reason}.",
                mend=f"Look again: congvan node show {message_id[:12]}",
            )
        for transfer in row.transfers:
            show(transfer.position, transfer.size)
        await asyncio.sleep(_LOOK_EVERY)
        row = await _row(node, message_id)
    return row


async def _row(node: Foundation, message_id: Sha256Hex) -> OutboxRow:
    story = await node.queries.story(message_id)
    if story.outbox is None:
        raise Rejected("message-unknown", f"The message {message_id} was not sent from here.")
    return story.outbox
