"""Where a message of ours stands at a recipient, computed from what is known of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from node.store.records import RequestRow
from node.store.states import DeliveryState, RequestState, Standing
from schemas.message import BusinessType, StatusCode

_BY_STATUS: Final = {
    StatusCode.ARRIVED: Standing.ARRIVED,
    StatusCode.REFUSED: Standing.REFUSED,
    StatusCode.ACCEPTED: Standing.ACCEPTED,
    StatusCode.ASSIGNED: Standing.ASSIGNED,
    StatusCode.PROCESSING: Standing.PROCESSING,
    StatusCode.FINISHED: Standing.FINISHED,
    StatusCode.REQUEST_AGREED: Standing.AGREED,
    StatusCode.REQUEST_REFUSED: Standing.DECLINED,
}

_BY_DELIVERY: Final = {
    DeliveryState.WAITING: Standing.WAITING,
    DeliveryState.ACCEPTED: Standing.SENT,
    DeliveryState.CONSIGNED: Standing.ARRIVED,
    DeliveryState.HANDED_OVER: Standing.ARRIVED,
    DeliveryState.HANDOVER_FAILED: Standing.REFUSED,
    DeliveryState.REFUSED: Standing.REFUSED,
    DeliveryState.EXPIRED: Standing.EXPIRED,
    DeliveryState.CANCELLED: Standing.CANCELLED,
}


def standing_at(delivery: DeliveryState, status: StatusCode | None, requests: Iterable[RequestRow]) -> Standing:
    """An agreed recall says most, then the furthest status, then how far the delivery has come."""
    if any(one.kind is BusinessType.RECALL and one.state is RequestState.AGREED for one in requests):
        return Standing.RECALLED
    by_delivery = _BY_DELIVERY[delivery]
    if status is None or (by_delivery is Standing.REFUSED and status is StatusCode.ARRIVED):
        # Status 01 is the node's own; that its software then refused the document, a receipt has said before 02 came.
        return by_delivery
    return _BY_STATUS.get(status, by_delivery)
