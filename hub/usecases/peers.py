"""Whose a client certificate is, and whether that connection may speak: asked of the database at each request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from certs.tls import connection_of
from hub.store.connections import identify_client
from runtime.clock import Clock
from runtime.database import Database
from schemas.directory import EntryStatus
from schemas.errors import Rejected


@dataclass(frozen=True, slots=True)
class PeerRegister:
    """Knows the certificates that enrolment let in."""

    database: Database
    clock: Clock

    async def connection_of(self, certificate: bytes) -> str:
        """The connection that `certificate` (DER) belongs to. Its holder has proved, in TLS, to have the key.

        Raises `unauthenticated` for a certificate that is not, or no longer, let in; `connection-suspended`.
        """
        fingerprint = hashlib.sha256(certificate).hexdigest()
        client = await self.database.glance(lambda transaction: identify_client(transaction, fingerprint))
        # The name in the certificate says the same, or one of the two was tampered with. A TLS connection can outlive
        # the certificate that it was opened with.
        if client is None or connection_of(certificate) != client.connection or self.clock() >= client.not_after:
            raise Rejected(
                "unauthenticated",
                "The client certificate is not, or no longer, one that this hub lets in.",
                mend="Enrol the node again with a token of the hub's operator.",
            )
        if client.status is not EntryStatus.ACTIVE:
            raise Rejected(
                "connection-suspended",
                f"The connection {client.connection} is suspended.",
                mend="Ask the hub's operator.",
            )
        return client.connection
