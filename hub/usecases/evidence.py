"""Evidence: all that the hub holds of one message, in one file that proves it to others."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.evidence_directory import versions_for
from certs.evidence_format import Manifest
from certs.evidence_writing import EvidenceAttachment, EvidenceContents, agencies_concerned, write_evidence
from hub.store import evidence, rejections
from hub.store.evidence import HeldAttachment, HeldMessage
from hub.store.metadata import Transaction
from hub.usecases.naming import message_named
from runtime.blobs import BlobStore
from runtime.clock import Clock
from runtime.database import Database
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected

_DIGITS: Final = re.compile(r"[0-9a-f]{8,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Gathers evidence from the store of the hub `name`, whose authority is `authority` (root first)."""

    database: Database
    files: BlobStore
    name: str
    authority: tuple[x509.Certificate, ...]
    clock: Clock

    async def write(self, message: str, path: Path, *, attachments: bool = False) -> Manifest:
        """Write the evidence of `message` (its id, 8 digits of its beginning or more, or a DocumentId) to `path`.

        Raises:
            Rejected: `message-unknown`, `message-ambiguous`; with `attachments`, `payload-purged`.
            Unavailable: `storage-full`.
        """
        contents = await self.database.read(partial(self._gather, message, attachments))
        return await asyncio.to_thread(write_evidence, path, contents)

    def _gather(self, name: str, attachments: bool, transaction: Transaction) -> EvidenceContents:
        message_id = _named(transaction, name)
        held = evidence.of_message(transaction, message_id)
        # A refusal may rest on what broken bytes said of themselves: another's has no place beside an acceptance.
        refusals = [
            refusal.signed
            for refusal in rejections.of_message(transaction, message_id)
            if held is None or refusal.key.from_code == held.from_code
        ]
        held = held or HeldMessage(None, None, None, (), ())
        # What was attested once more in a later round of a delivery is one receipt.
        receipts = list(dict.fromkeys([*refusals, *held.receipts]))
        if attachments and held.purged_at is not None:
            raise Rejected(
                "payload-purged",
                f"The attachments were dropped on {held.purged_at:%Y-%m-%d} by the retention rule.",
                mend="Gather the evidence without them: it names them by their SHA-256.",
            )
        return EvidenceContents(
            message_id=message_id,
            gathered_by=f"hub {self.name}",
            gathered_at=self.clock(),
            envelope=held.envelope,
            dropped_at=held.purged_at,
            receipts=receipts,
            directory=versions_for(
                partial(evidence.directory_documents, transaction),
                evidence.directory_bytes(transaction),
                agencies_concerned(receipts, held.envelope),
            ),
            authority=self.authority,
            attachments=[self._attachment(each) for each in held.attachments] if attachments else (),
        )

    def _attachment(self, held: HeldAttachment) -> EvidenceAttachment:
        content = partial(self.files.open, held.digest) if held.content is None else held.content
        return EvidenceAttachment(held.digest, held.size, content)


def _named(transaction: Transaction, name: str) -> Sha256Hex:
    """An accepted message by any of its names; one that was refused, and never accepted, by its id alone.

    What was refused is looked at last: a refused id that begins alike makes no accepted one ambiguous.
    """
    try:
        return message_named(transaction, name).message_id
    except Rejected as error:
        if error.code != "message-unknown":
            raise
        digits = name.strip().lower()
        refused = rejections.ids_beginning(transaction, digits, limit=2) if _DIGITS.fullmatch(digits) else []
        if len(refused) != 1:
            raise
        return refused[0]
