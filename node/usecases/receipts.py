"""Receipts: issued for our agencies, verified when they come from others."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from certs.receipts import OpenedReceipt, ReceiptTrust, open_receipt, sign_receipts
from certs.trust import SignerBinding, Trust, TrustAnchor
from certs.verified import Verified
from node.store import directory as directory_store
from node.store.directory import Standing
from node.store.metadata import Transaction
from node.usecases.directory import DirectoryCopy, binding_of
from node.usecases.identity import NodeIdentity
from runtime.database import Database
from runtime.short_work import at_once_if
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.limits import KIB
from schemas.receipts import Issuer, IssuerKind, Reason, Receipt, ReceiptEvent, SignedReceipt

#: A DocumentId longer than this is left out of receipts: it is a text of the sender's, of any length.
_DOCUMENT_ID_CHARACTERS: Final = 255

#: So many receipts are verified in passing, if with their proofs they have so many bytes: a proof may list 40,000.
_FEW: Final = 2
_SHORT: Final = 32 * KIB


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
        (verified,) = await self.verify_all([signed])
        if isinstance(verified, Rejected):
            raise verified
        return verified

    async def verify_all(self, signed: Sequence[SignedReceipt]) -> list[Verified[Receipt] | Rejected]:
        """Each receipt verified as by `verify`, or why it does not hold, in the order given.

        The directory is asked once for all of them, and not at all for those of hubs and of agencies that it was asked
        about before.
        """
        is_short = len(signed) <= _FEW and sum(len(each.receipt) + len(each.proof) for each in signed) <= _SHORT
        found = await at_once_if(is_short, lambda: [self._bound_if_remembered(self._opened(each)) for each in signed])
        opened = [each for each in found if isinstance(each, OpenedReceipt)]
        if not opened:
            return [each for each in found if not isinstance(each, OpenedReceipt)]
        asked = dict.fromkeys((each.receipt.issuer.name, each.receipt.occurred_at) for each in opened)

        def bound(transaction: Transaction) -> list[Verified[Receipt] | Rejected]:
            trusts = {(name, at): self._agency_trust(transaction, AgencyCode.parse(name), at) for name, at in asked}
            return [self._bound(each, trusts) if isinstance(each, OpenedReceipt) else each for each in found]

        # Where the directory is asked: paths are remembered, and one more hop would cost more.
        return await (self._database.glance if is_short else self._database.read)(bound)

    def verified_hubs(self, signed: Sequence[SignedReceipt]) -> list[Verified[Receipt] | Rejected]:
        """Each receipt verified, if it is a hub's, or why it does not hold: the directory is not asked.

        Work for a thread: each takes a millisecond, unless they share a proof.
        """
        return [
            _not_a_hubs(each.receipt) if isinstance(each, OpenedReceipt) else each for each in map(self._opened, signed)
        ]

    def _opened(self, signed: SignedReceipt) -> OpenedReceipt | Verified[Receipt] | Rejected:
        """The receipt, its signature verified; a hub's also bound, for that needs nothing but the hub's authority."""
        try:
            opened = open_receipt(signed)
            if opened.receipt.issuer.kind is IssuerKind.AGENCY:
                return opened
            trust = ReceiptTrust(self._identity.hub_authority, Trust((), _nobody))
            return opened.bind(trust, opened.receipt.occurred_at)
        except Rejected as error:
            return error

    def _bound_if_remembered(
        self, found: OpenedReceipt | Verified[Receipt] | Rejected
    ) -> OpenedReceipt | Verified[Receipt] | Rejected:
        """An agency's receipt is bound as well, if what the directory says of the agency was asked before."""
        if not isinstance(found, OpenedReceipt):
            return found
        issuer, at = found.receipt.issuer.name, found.receipt.occurred_at
        code = AgencyCode.parse(issuer)
        remembered = self._directory.remembered(code, at)
        if remembered is None:
            return found
        standing, anchors = remembered
        bound = self._bound(found, {(issuer, at): _trust_in(code, [standing], anchors)})
        # Another process of this node may have applied a newer version: only the database says that nothing holds.
        return found if isinstance(bound, Rejected) else bound

    def _bound(
        self, opened: OpenedReceipt, trusts: Mapping[tuple[str, datetime], Trust]
    ) -> Verified[Receipt] | Rejected:
        receipt = opened.receipt
        trust = ReceiptTrust(self._identity.hub_authority, trusts[receipt.issuer.name, receipt.occurred_at])
        try:
            return opened.bind(trust, receipt.occurred_at)
        except Rejected as error:
            return error

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
        self.require_submission(verified.value, event, message_id)
        return verified

    def require_submission(self, receipt: Receipt, event: ReceiptEvent, message_id: Sha256Hex) -> None:
        """Pass if in a verified receipt this node's own hub attests `event` of `message_id`; else as above."""
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

    def _agency_trust(self, transaction: Transaction, code: AgencyCode, at: datetime) -> Trust:
        """Who may sign for an agency, by today's directory or that of the time `at`: keys are replaced meanwhile."""
        newest = self._directory.version
        versions = {newest, directory_store.version_at(transaction, at) or newest}
        standings = [self._directory.standing(transaction, code, version) for version in versions]
        anchors = [anchor for version in versions for anchor in self._directory.anchors(transaction, version)]
        return _trust_in(code, standings, anchors)


def _trust_in(code: AgencyCode, standings: Sequence[Standing | None], anchors: Sequence[TrustAnchor]) -> Trust:
    """Whoever may sign for an agency by any of its `standings`."""
    known = [binding_of(standing) for standing in standings if standing is not None]
    if not known:
        return Trust((), _nobody)
    fingerprints = frozenset[Sha256Hex]().union(*(binding.fingerprints for binding in known))
    binding = SignerBinding(known[0].code, known[0].status, fingerprints)
    return Trust(tuple(dict.fromkeys(anchors)), {code: binding}.get)


def _not_a_hubs(receipt: Receipt) -> Rejected:
    return Rejected("acknowledgement-mismatch", f"{receipt.issuer.name} attests it, and is no hub.")


def _nobody(_code: AgencyCode) -> None:
    """What a directory that knows nobody says of any code."""


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
