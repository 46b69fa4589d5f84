"""The hub's receipts: one signature for those that are asked for together, and no fault passed on to a neighbour."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from certs.authority import Authority
from certs.receipts import ReceiptTrust, verify_receipt
from certs.sealing import SealingKey
from certs.trust import Trust
from hub.usecases.receipt_signer import ReceiptSigner
from schemas.codes import AgencyCode
from schemas.errors import Rejected
from schemas.receipts import Receipt, ReceiptEvent
from tests.hub.exchange.conftest import HUB
from tests.hub.exchange.nodes import NOW


@pytest.fixture
def signer(issued: tuple[Authority, SealingKey]) -> ReceiptSigner:
    return ReceiptSigner(HUB, issued[1], lambda: NOW)


def _receipt(signer: ReceiptSigner, number: int) -> Receipt:
    return Receipt(
        receipt_id=f"receipt-{number}",
        event=ReceiptEvent.SUBMISSION_ACCEPTANCE,
        issuer=signer.issuer,
        message_id=f"{number:064x}",
        sender=AgencyCode("G22"),
        occurred_at=NOW,
    )


async def test_receipts_asked_for_together_share_signatures(
    issued: tuple[Authority, SealingKey], signer: ReceiptSigner
) -> None:
    """A hundred receipts asked for at once need a few signatures, and each is proved by its own."""
    asked = [_receipt(signer, number) for number in range(100)]
    signed = await asyncio.gather(*(signer.sign(receipt) for receipt in asked))
    assert len({each.proof for each in signed}) <= 3
    trust = ReceiptTrust((issued[0].root,), Trust((), lambda _code: None))
    assert [verify_receipt(each, trust, NOW).value for each in signed] == asked


async def test_a_receipt_that_cannot_be_written_harms_no_other(signer: ReceiptSigner) -> None:
    """Only whoever asked for it is told."""
    bad = replace(_receipt(signer, 0), receipt_id="")
    asked = [_receipt(signer, 1), bad, _receipt(signer, 2)]
    outcomes = await asyncio.gather(*(signer.sign(receipt) for receipt in asked), return_exceptions=True)
    assert [isinstance(outcome, Rejected) for outcome in outcomes] == [False, True, False]


async def test_one_who_gives_up_harms_no_other(signer: ReceiptSigner) -> None:
    """A request that is broken off while its receipt is signed leaves the others theirs."""
    asking = [asyncio.create_task(signer.sign(_receipt(signer, number))) for number in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert b"receipt-1" in outcomes[1].receipt
    assert b"receipt-2" in (await signer.sign(_receipt(signer, 2))).receipt
