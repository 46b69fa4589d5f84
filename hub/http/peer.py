"""Who asks: the connection that the request's client certificate belongs to.

The certificate is that of the TLS connection. Behind a proxy that terminates TLS it stands in the header Client-Cert
(RFC 9440), which counts from the listed addresses of proxies alone; so does the address in X-Forwarded-For.
"""

from __future__ import annotations

import binascii
import contextlib
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from hub.usecases.peers import PeerRegister
from schemas.errors import Rejected
from transport import paths

log = structlog.get_logger()

CLIENT_CERT: Final = "Client-Cert"
FORWARDED_FOR: Final = "X-Forwarded-For"

#: Calls that nobody is asked for a certificate at, and that must answer when the database does not.
OPEN_PATHS: Final = frozenset({paths.AUTHORITY, paths.ENROLMENTS, paths.LIVENESS, paths.READINESS, paths.METRICS})


@dataclass(frozen=True, slots=True)
class Peer:
    """A node that showed a certificate of ours, known and active at this request."""

    connection: str


#: What `identification` found, if the request came with a certificate.
FOUND: Final = web.RequestKey("peer", Peer)


def peer_of(request: web.Request) -> Peer:
    """The peer of `request`. Raises `unauthenticated` if it came without a certificate."""
    if FOUND not in request:
        raise Rejected(
            "unauthenticated",
            "This call needs the client certificate of an enrolled connection.",
            mend="Enrol the node with a token of the hub's operator.",
        )
    return request[FOUND]


def identification(register: PeerRegister, proxies: Sequence[IPv4Network | IPv6Network]) -> Middleware:
    """Find out who asks, before anything else is done; a certificate that is not let in ends the request."""

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        certificate = None if request.path in OPEN_PATHS else _certificate_of(request, proxies)
        if certificate is None:
            return await handler(request)
        peer = Peer(await register.connection_of(certificate))
        request[FOUND] = peer
        with structlog.contextvars.bound_contextvars(connection=peer.connection):
            return await handler(request)

    return identify


def comes_from(request: web.Request, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether the other end of the TCP connection is in one of `networks`."""
    if not networks or request.remote is None:
        return False
    # A listener on :: shows an IPv4 peer as ::ffff:a.b.c.d.
    address = ip_address(request.remote.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in networks)


def remote_of(request: web.Request, proxies: Sequence[IPv4Network | IPv6Network]) -> str | None:
    """The address that the request comes from: the one that a listed proxy names, else the TCP connection's."""
    if comes_from(request, proxies):
        # A proxy that adds to what it got puts its own word last.
        named = ",".join(request.headers.getall(FORWARDED_FOR, [])).rpartition(",")[2].strip()
        with contextlib.suppress(ValueError):
            return str(ip_address(named))
    return request.remote


def _certificate_of(request: web.Request, proxies: Sequence[IPv4Network | IPv6Network]) -> bytes | None:
    headers = request.headers.getall(CLIENT_CERT, [])
    if comes_from(request, proxies):
        # The proxy's own certificate, if it has one, is no node's.
        return _certificate_in(headers) if headers else None
    if headers:
        log.warning("peer.header_ignored", header=CLIENT_CERT, remote=request.remote)
    connection = request.transport and request.transport.get_extra_info("ssl_object")
    certificate: bytes | None = connection.getpeercert(binary_form=True) if connection else None
    return certificate


def _certificate_in(headers: Sequence[str]) -> bytes:
    """The DER in a Client-Cert header: one byte sequence of RFC 8941, base64 between colons."""
    text = headers[0].strip()
    try:
        if len(headers) != 1 or len(text) < 3 or not (text.startswith(":") and text.endswith(":")):
            raise ValueError("it is not one byte sequence between colons")
        return b64decode(text[1:-1], validate=True)
    except (ValueError, binascii.Error) as error:
        raise Rejected(
            "unauthenticated",
            f"The proxy's {CLIENT_CERT} header is malformed: {error}.",
            mend="Configure the proxy to send the header as RFC 9440 says, once.",
        ) from error
