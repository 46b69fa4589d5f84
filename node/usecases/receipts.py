"""Receipts: issued for our agencies, verified when they come from others."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from certs.receipts import ReceiptTrust, sign_receipts, verify_receipt
from certs.trust import SignerBinding, Trust, TrustAnchor
from certs.verified import Verified
from node.store import directory as directory_store
from node.store.metadata import Transaction
from node.usecases.directory import DirectoryCopy, binding_of
from node.usecases.identity import NodeIdentity
from runtime.database import Database
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.receipt_codec import read_receipt
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt

#: A DocumentId longer than this is left out of receipts: it is a text of the sender's, of any length.
_DOCUMENT_ID_CHARACTERS: Final = 255


class ReceiptVerifier:
    """Turns receipts that came from the hub into verified ones."""

    def __init__(self, database: Database, directory: DirectoryCopy, identity: NodeIdentity) -> None:
        self._database = database
        self._directory = directory
        self._identity = identity

    async def verify(self, signed: SignedReceipt) -> Verified[Receipt]:
        """The receipt, if its issuer signed it. Judged at the time it speaks of: keys expire, what they attested stays.

        Raises ReceiptRejected, LimitExceeded, MalformedMessage, MalformedCode, as `certs.receipts.verify_receipt` does.
        """
        claimed = await asyncio.to_thread(read_receipt, signed.receipt)
        bindings: Mapping[AgencyCode, SignerBinding] = {}
        anchors: tuple[TrustAnchor, ...] = ()
        if claimed.issuer.kind is IssuerKind.AGENCY:
            bindings, anchors = await self._agency_trust(AgencyCode.parse(claimed.issuer.name), claimed.occurred_at)
        trust = ReceiptTrust(self._identity.hub_authority, Trust(anchors, bindings.get))
        return await asyncio.to_thread(verify_receipt, signed, trust, claimed.occurred_at)

    async def verify_acceptance(self, signed: SignedReceipt, message_id: Sha256Hex) -> Verified[Receipt]:
        """The receipt, if with it this node's own hub attests that it accepted `message_id`.

        Raises as `verify`, and ReceiptRejected's family `acknowledgement-mismatch` if it attests something else.
        """
        return await self._verify_submission(signed, ReceiptEvent.SUBMISSION_ACCEPTANCE, message_id)

    async def verify_rejection(self, signed: SignedReceipt, message_id: Sha256Hex) -> Verified[Receipt]:
        """The receipt, if with it this node's own hub attests that it refused `message_id`; raises as above."""
        return await self._verify_submission(signed, ReceiptEvent.SUBMISSION_REJECTION, message_id)

    async def _verify_submission(
        self, signed: SignedReceipt, event: ReceiptEvent, message_id: Sha256Hex
    ) -> Verified[Receipt]:
        verified = await self.verify(signed)
        receipt = verified.value
        if (
            receipt.event is not event
            or receipt.issuer != Issuer(IssuerKind.HUB, self._identity.hub)
            or receipt.message_id != message_id
        ):
            raise Rejected(
                "acknowledgement-mismatch",
                f"{receipt.issuer.name} attests {receipt.event} of {receipt.message_id}; what is needed is the word of "
                f"{self._identity.hub} on {event} of {message_id}.",
                mend="Tell the hub's operator.",
            )
        return verified

    async def _agency_trust(
        self, code: AgencyCode, at: datetime
    ) -> tuple[Mapping[AgencyCode, SignerBinding], tuple[TrustAnchor, ...]]:
        """Who may sign for an agency, by today's directory or that of the time `at`: keys are replaced meanwhile."""

        def asked(transaction: Transaction) -> tuple[Mapping[AgencyCode, SignerBinding], tuple[TrustAnchor, ...]]:
            newest = self._directory.version
            versions = {newest, directory_store.version_at(transaction, at) or newest}
            standings = [self._directory.standing(transaction, code, version) for version in versions]
            known = [binding_of(standing) for standing in standings if standing is not None]
            if not known:
                return {}, ()
            fingerprints = frozenset[Sha256Hex]().union(*(binding.fingerprints for binding in known))
            anchors = dict.fromkeys(
                anchor for version in versions for anchor in self._directory.anchors(transaction, version)
            )
            return {code: SignerBinding(known[0].code, known[0].status, fingerprints)}, tuple(anchors)

        return await self._database.read(asked)


def receipt_of(
    event: ReceiptEvent,
    *,
    issuer: AgencyCode,
    message_id: Sha256Hex,
    sender: AgencyCode,
    document_id: str | None,
    at: datetime,
    reason: Reason | None = None,
) -> Receipt:
    """What `issuer`, an agency of this node, attests of a message that came for it."""
    return Receipt(
        receipt_id=str(uuid.uuid4()),
        event=event,
        issuer=Issuer(IssuerKind.AGENCY, issuer.value),
        message_id=message_id,
        sender=sender,
        recipient=issuer,
        document_id=document_id if document_id and len(document_id) <= _DOCUMENT_ID_CHARACTERS else None,
        occurred_at=at,
        reason=reason,
    )


def signed_together(receipts: Sequence[Receipt], identity: NodeIdentity, at: datetime) -> list[SignedReceipt]:
    """The receipts signed by the node's seal key, in their order: one proof, so one signature, for each issuer.

    Work for a thread: a signature takes a millisecond.
    """
    places: defaultdict[Issuer, list[int]] = defaultdict(list)
    for place, receipt in enumerate(receipts):
        places[receipt.issuer].append(place)
    signed: dict[int, SignedReceipt] = {}
    for issued in places.values():
        proofed = sign_receipts([receipts[place] for place in issued], identity.seal, issued_at=at)
        signed.update(zip(issued, proofed, strict=True))
    return [signed[place] for place in range(len(receipts))]
