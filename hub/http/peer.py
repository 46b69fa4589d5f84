"""Who asks: the connection that the request's client certificate belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from schemas.errors import CongvanError, Rejected


@dataclass(frozen=True, slots=True)
class Peer:
    """A node that showed a certificate of ours, known and active at this request."""

    connection: str


#: What the middleware found: a peer, or why there is none.
FOUND: Final = web.RequestKey("peer", object)


def peer_of(request: web.Request) -> Peer:
    """The peer of `request`. Raises `unauthenticated`, or `connection-suspended`."""
    found = request.get(FOUND)
    if isinstance(found, Peer):
        return found
    if isinstance(found, CongvanError):
        raise found
    raise Rejected(
        "unauthenticated",
        "This call needs the client certificate of an enrolled connection.",
        mend="Enrol the node with a token of the hub's operator.",
    )
