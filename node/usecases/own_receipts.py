"""Own receipts that the hub gives back: what agencies of this node had attested before it was put back to a backup."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import structlog

from node.usecases.receipt_keeping import HeldReceipt
from node.usecases.receipts import ReceiptVerifier
from schemas.codes import AgencyCode
from schemas.envelope import Sha256Hex
from schemas.errors import Rejected
from schemas.receipts import Issuer, IssuerKind, Receipt, ReceiptEvent, SignedReceipt
from transport.wire import ReceiptRef

log = structlog.get_logger()

_EVENTS: Final = frozenset({
    ReceiptEvent.CONTENT_CONSIGNMENT,
    ReceiptEvent.CONTENT_HANDOVER,
    ReceiptEvent.CONTENT_HANDOVER_FAILURE,
})  # fmt: skip


async def own_receipts(
    references: Sequence[ReceiptRef],
    proofs: Mapping[str, bytes],
    verifier: ReceiptVerifier,
    *,
    message_id: Sha256Hex,
    codes: Collection[AgencyCode],
) -> tuple[HeldReceipt, ...]:
    """Those of the receipts by which agencies with these `codes` attest what became of the message with them.

    One that does not hold is said in the log and passed over: the event is attested anew then.
    """
    held: list[HeldReceipt] = []
    for reference in references:
        signed = SignedReceipt(reference.receipt, proofs.get(reference.proof, b""))
        try:
            receipt = (await verifier.verify(signed)).value
            if not _is_own(receipt, message_id, codes):
                raise Rejected("receipt-foreign", f"{receipt.issuer.name} attests {receipt.event}.")
        except Rejected as error:
            log.error("receipt.refused", message=message_id, rule=error.code, reason=error.message)
        else:
            held.append(HeldReceipt(receipt, signed))
    return tuple(held)


def _is_own(receipt: Receipt, message_id: Sha256Hex, codes: Collection[AgencyCode]) -> bool:
    return (
        receipt.event in _EVENTS
        and receipt.message_id == message_id
        and receipt.recipient is not None
        and receipt.recipient in codes
        and receipt.issuer == Issuer(IssuerKind.AGENCY, receipt.recipient.value)
    )
