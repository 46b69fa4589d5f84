"""The calls of the exchange, all together."""

from __future__ import annotations

from aiohttp import web

from hub.http.blobs import blob_routes
from hub.http.envelopes import envelope_routes
from hub.http.mailbox import mailbox_routes
from hub.http.messages import message_routes
from hub.http.receipts import receipt_routes
from hub.http.replays import replay_routes
from hub.http.uploads import upload_routes
from hub.usecases.exchange import Exchange


def exchange_routes(exchange: Exchange) -> list[web.RouteDef]:
    """Every route by which documents and receipts travel."""
    settings = exchange.settings
    return [
        *envelope_routes(exchange.submissions, settings.submissions, exchange.epoch),
        *upload_routes(exchange.uploads, settings.submissions),
        *mailbox_routes(exchange.mailbox, settings.mailbox, exchange.epoch),
        *receipt_routes(exchange.outcomes, settings),
        *blob_routes(exchange.attachments, settings.submissions),
        *replay_routes(exchange.replays),
        *message_routes(exchange.traces),
    ]
