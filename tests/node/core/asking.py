"""What tests ask of a running node: wait until it has come to something, then look at it."""

from __future__ import annotations

from collections.abc import Sequence

from certs.receipts import ReceiptTrust, verify_receipt
from certs.trust import SignerBinding, Trust, TrustAnchor
from node.store.records import HandoverRow, InboxRow, OutboxRow
from node.store.states import HandoverState, OutboxState
from schemas.directory import EntryStatus
from schemas.receipts import Receipt, ReceiptEvent, SignedReceipt
from tests.node.core.node_under_test import Node, eventually
from tests.node.core.world import OWN, World

#: Of what a node writes to a file, as much may stand in the file's buffer until it is closed (bytes).
BUFFERED = 8192


async def bytes_arrived(node: Node, digest: str, count: int) -> None:
    """Wait until `count` bytes of an attachment that the node fetches stand in its file, but for `BUFFERED`."""

    async def there() -> bool:
        return await node.blobs.upload_offset(f"in{digest}") >= count - BUFFERED

    await eventually(there, f"{count} bytes of {digest}")


async def outbox_row(node: Node, message_id: str) -> OutboxRow:
    story = await node.queries.story(message_id)
    assert story.outbox is not None
    return story.outbox


async def becomes(node: Node, message_id: str, state: OutboxState) -> OutboxRow:
    async def there() -> bool:
        return (await outbox_row(node, message_id)).state is state

    await eventually(there, f"{message_id} becomes {state}")
    return await outbox_row(node, message_id)


async def has_trouble(node: Node, message_id: str, code: str) -> OutboxRow:
    async def there() -> bool:
        trouble = (await outbox_row(node, message_id)).trouble
        return trouble is not None and trouble.code == code

    await eventually(there, f"{message_id} has the trouble {code}")
    return await outbox_row(node, message_id)


async def inbox_row(node: Node, message_id: str) -> InboxRow | None:
    """None if the message has not arrived."""
    rows = await node.queries.inbox(limit=1000)
    return next((row for row in rows if row.message.message_id == message_id), None)


async def arrives(node: Node, message_id: str) -> InboxRow:
    async def there() -> bool:
        return await inbox_row(node, message_id) is not None

    await eventually(there, f"{message_id} arrives")
    row = await inbox_row(node, message_id)
    assert row is not None
    return row


async def handed(node: Node, message_id: str, state: HandoverState) -> HandoverRow:
    """The hand-over of a message that came for one agency, once it is in `state`."""

    async def there() -> bool:
        row = await inbox_row(node, message_id)
        return row is not None and row.handovers[0].state is state

    await eventually(there, f"the hand-over of {message_id} is {state}")
    row = await inbox_row(node, message_id)
    assert row is not None
    return row.handovers[0]


async def statuses_sent(node: Node) -> list[tuple[str, str]]:
    """The statuses in the outbox, oldest first: status code, and the message spoken of."""
    rows: Sequence[OutboxRow] = await node.queries.outbox(limit=1000)
    return [(str(row.message.status), row.message.about[0]) for row in reversed(rows) if row.message.status]


def verified(signed: SignedReceipt, world: World) -> Receipt:
    """The receipt, if a key of the node under test signed it; fails otherwise."""
    fingerprints = frozenset({world.keys[OWN].fingerprint})
    trust = Trust(
        (TrustAnchor(world.authority.root, ("",)),),
        lambda code: SignerBinding(code, EntryStatus.ACTIVE, fingerprints),
    )
    return verify_receipt(signed, ReceiptTrust((), trust), world.now).value


def events(signed: Sequence[SignedReceipt], world: World) -> list[tuple[ReceiptEvent, str, str]]:
    """Each receipt verified: event, message, recipient."""
    receipts = [verified(each, world) for each in signed]
    return [(receipt.event, receipt.message_id, str(receipt.recipient)) for receipt in receipts]
