"""Who this node is, from its enrolment on."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509

from certs.sealing_key import SealingKey
from schemas.codes import AgencyCode

#: The adapter name under which the node itself sends (status 01, answers by command); no adapter may take it.
OWN_ADAPTER = "node"

#: The adapter name under which `congvan node send` sends; as above.
COMMAND_ADAPTER = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """The node's connection, the hub it enrolled at, the key it seals with.

    `hub` is the hub's name, which its receipts and its directory carry; `hub_authority` the certificates (root first)
    under which both are believed. `enrolled_codes` hold until the first version of the directory has come.
    """

    connection: str
    hub: str
    hub_authority: tuple[x509.Certificate, ...]
    seal: SealingKey = field(repr=False)
    enrolled_codes: tuple[AgencyCode, ...]
