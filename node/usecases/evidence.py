"""Evidence: all that the node holds of one message, in one file that proves it to others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from certs.evidence_directory import versions_for
from certs.evidence_format import Manifest
from certs.evidence_writing import EvidenceAttachment, EvidenceContents, agencies_concerned, write_evidence
from node.store import evidence, refusals
from node.store import messages as message_store
from node.store import receipts as receipt_store
from node.store.metadata import Transaction
from node.store.records import AttachmentRow
from node.usecases.identity import NodeIdentity
from node.usecases.naming import message_named
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex, is_sha256_hex
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class Evidence:
    """Gathers evidence from the node's record, of messages sent, received, or refused when they came."""

    database: Database
    blobs: BlobStore
    identity: NodeIdentity
    clock: Clock

    async def write(self, message: str, path: Path, *, attachments: bool = False) -> Manifest:
        """Write the evidence of `message` (its id, a unique beginning of it, or a DocumentId) to `path`.

        Raises:
            Rejected: `message-unknown`, `message-ambiguous`; with `attachments`, `payload-purged`.
            Unavailable: `storage-full`.
        """
        contents = await self.database.read(partial(self._gather, message, attachments))
        return await asyncio.to_thread(write_evidence, path, contents)

    def _gather(self, name: str, attachments: bool, transaction: Transaction) -> EvidenceContents:
        message_id = _named(transaction, name)
        receipts = [row.signed for row in receipt_store.of_message(transaction, message_id)]
        receipts = list(dict.fromkeys([*receipts, *refusals.of_message(transaction, message_id)]))
        envelope = message_store.sealed(transaction, message_id)
        dropped_at = evidence.purged_at(transaction, message_id)
        if attachments and dropped_at is not None:
            raise Rejected(
                "payload-purged",
                f"The attachments were dropped on {dropped_at:%Y-%m-%d} by the retention rule.",
                mend="Gather the evidence without them: it names them by their SHA-256.",
            )
        held = message_store.attachments_of(transaction, message_id) if attachments else ()
        return EvidenceContents(
            message_id=message_id,
            gathered_by=f"node {self.identity.connection}",
            gathered_at=self.clock(),
            envelope=envelope,
            dropped_at=dropped_at,
            receipts=receipts,
            directory=versions_for(
                partial(evidence.directory_documents, transaction),
                evidence.directory_bytes(transaction),
                agencies_concerned(receipts, envelope),
            ),
            authority=self.identity.hub_authority,
            # Two names may stand for one content.
            attachments=[self._attachment(transaction, row) for row in {row.digest: row for row in held}.values()],
        )

    def _attachment(self, transaction: Transaction, row: AttachmentRow) -> EvidenceAttachment:
        short = message_store.small_blob(transaction, row.digest)
        content = partial(self.blobs.open, row.digest) if short is None else short
        return EvidenceAttachment(row.digest, row.size, content)


def _named(transaction: Transaction, name: str) -> Sha256Hex:
    """The message that `name` names; one that was refused when it came is known by its whole id alone."""
    if is_sha256_hex(name) and refusals.of_message(transaction, name):
        return name
    return message_named(transaction, name)
