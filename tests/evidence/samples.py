"""A message with everything that proves its life, made of real keys, and containers of it spoilt on purpose."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from certs.evidence_writing import EvidenceAttachment, EvidenceContents
from certs.receipts import sign_receipts
from certs.sealing import Sealed, SealingKey
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt
from tests.node.core.world import G22, H23, HUB, OWN, World, document, envelope

PDF = b"%PDF-1.7 a letter"

OF_HUB = Issuer(IssuerKind.HUB, HUB)
OF_H23 = Issuer(IssuerKind.AGENCY, "H23")


@dataclass(slots=True)
class Case:
    """A document of G22 to H23: accepted by the hub, consigned and handed over at H23, in the world `world`."""

    world: World
    sealed: Sealed = field(init=False)

    def __post_init__(self) -> None:
        self.sealed = self.world.sealed(envelope(document(G22, H23), PDF))

    def receipt(self, event: ReceiptEvent, issuer: Issuer, **values: Any) -> Receipt:
        """A receipt about the message; `values` replace what an honest one says."""
        of_submission = event in (ReceiptEvent.SUBMISSION_ACCEPTANCE, ReceiptEvent.SUBMISSION_REJECTION)
        honest = Receipt(
            receipt_id=f"{event}-1",
            event=event,
            issuer=issuer,
            message_id=self.sealed.message_id,
            sender=G22,
            recipient=None if of_submission else H23,
            occurred_at=self.world.now + timedelta(seconds=1),
            reason=Reason("expired", "Nobody came.") if event.endswith(("Failure", "Rejection")) else None,
            directory_version=1 if event is ReceiptEvent.SUBMISSION_ACCEPTANCE else None,
        )
        return replace(honest, **values)

    def signed(self, *receipts: Receipt, key: SealingKey | None = None) -> tuple[SignedReceipt, ...]:
        of_hub = receipts[0].issuer.kind is IssuerKind.HUB
        signer = key or (self.world.receipts_key if of_hub else self.world.keys[OWN])
        return sign_receipts(receipts, signer, issued_at=receipts[0].occurred_at)

    @property
    def acceptance(self) -> SignedReceipt:
        return self.signed(self.receipt(ReceiptEvent.SUBMISSION_ACCEPTANCE, OF_HUB))[0]

    def contents(self, *receipts: SignedReceipt, **values: Any) -> EvidenceContents:
        """The evidence of the whole life, or of `receipts` alone; `values` replace parts of it."""
        events = (ReceiptEvent.CONTENT_CONSIGNMENT, ReceiptEvent.CONTENT_HANDOVER)
        whole = [self.acceptance, *self.signed(*(self.receipt(event, OF_H23) for event in events))]
        return replace(
            EvidenceContents(
                message_id=self.sealed.message_id,
                gathered_by="hub test",
                gathered_at=self.world.now + timedelta(minutes=1),
                envelope=self.sealed.data,
                dropped_at=None,
                receipts=receipts or whole,
                directory=self.world.versions,
                authority=self.world.hub_authority,
                attachments=[EvidenceAttachment(hashlib.sha256(PDF).hexdigest(), len(PDF), PDF)],
            ),
            **values,
        )

    def withdraw_key(self, at: datetime) -> SealingKey:
        """Give H23's node another key, by a version of the directory issued `at`; gives the new key."""
        fresh = self.world.new_seal_key(OWN)
        self.world.now = at
        self.world.publish(connections=[self.world.connection(OWN, fresh)])
        return fresh


def entries(path: Path) -> dict[str, bytes]:
    """The files of a container, by name, in order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def name_of(path: Path, part: str) -> str:
    """The name of the one file of a container in whose name `part` stands."""
    (name,) = (name for name in entries(path) if part in name)
    return name


def spoil(path: Path, changes: Mapping[str, bytes | None], *, cover_up: bool) -> Path:
    """A copy of a container, some files changed, or gone (None); `cover_up`: its manifest lists what is there now."""
    files = entries(path)
    for name, content in changes.items():
        if content is None:
            del files[name]
        else:
            files[name] = content
    if cover_up:
        files["META-INF/manifest.json"] = _listing(files)
    spoilt = path.with_suffix(".spoilt.zip")
    with zipfile.ZipFile(spoilt, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return spoilt


def _listing(files: Mapping[str, bytes]) -> bytes:
    manifest = json.loads(files["META-INF/manifest.json"])
    renamed = {}
    for file in manifest["files"]:
        if file["name"] in files:
            content = files[file["name"]]
            renamed[file["sha256"]] = hashlib.sha256(content).hexdigest()
            file["sha256"], file["size"] = renamed[file["sha256"]], len(content)
    for file in manifest["files"]:
        file["proof"] = renamed.get(file["proof"], file["proof"])
    return json.dumps(manifest).encode()
