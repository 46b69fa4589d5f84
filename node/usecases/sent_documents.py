"""What this node sent, as adapters show it to the agency's software."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

from adapters.sdk import SentDocument, SentRecipient
from node.store import sent
from node.store.records import OutboxRow, RecipientRow
from node.store.states import OutboxState
from node.usecases.paging import number_in
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex

#: Recipients of a document that are shown one by one; a broadcast has thousands.
_RECIPIENTS: Final = 200
_PAGE: Final = 1000


class SentDocuments:
    """Reads the outbox, each page in one snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        *,
        senders: Collection[AgencyCode],
        document_id: str | None,
        message_id: Sha256Hex | None,
        after: str,
        limit: int,
    ) -> tuple[SentDocument, ...]:
        """See `adapters.sdk.NodeApi.sent`."""
        rows = await self._database.read(
            partial(
                sent.documents,
                senders=senders,
                document_id=document_id,
                message_id=message_id,
                before=number_in(after) if after else None,
                limit=min(limit, _PAGE),
                most=_RECIPIENTS,
            )
        )
        return tuple(_document(number, row) for number, row in rows)


def _document(number: int, row: OutboxRow) -> SentDocument:
    return SentDocument(
        message_id=row.message.message_id,
        adapter=row.adapter,
        key=row.key,
        sender=row.message.sender,
        document_id=row.message.document_id,
        code=row.message.code,
        subject=row.message.subject,
        business=row.message.business,
        created_at=row.created_at,
        accepted_at=row.accepted_at,
        refused=row.trouble.text if row.state is OutboxState.REFUSED and row.trouble else None,
        recipients=tuple(map(_recipient, row.recipients)),
        stands=row.stands,
        cursor=str(number),
    )


def _recipient(row: RecipientRow) -> SentRecipient:
    return SentRecipient(
        code=row.code,
        name=row.name,
        standing=row.standing,
        delivery=row.delivery,
        since=row.since,
        trouble=row.trouble.text if row.trouble else None,
        status=row.status,
        status_text=row.status_text,
        status_at=row.status_at,
    )
