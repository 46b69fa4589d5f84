"""Who calls: a system that signs its parameters with a secret, and the agencies that it acts for.

hash-header = hex(HMAC-SHA256(secret, the bytes of sign-header as they came)). Nothing else is signed, so nothing else
of the headers is looked at.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.sdk import NodeApi
from adapters.vxp.parameters import Parameters
from adapters.vxp.settings import SystemSettings
from runtime.passphrases import read_secret
from schemas.codes import AgencyCode
from schemas.directory import prefix_covers
from schemas.errors import Rejected

_SIGNED: Final = b"xroadvnpt-sign-header"
_SIGNATURE: Final = b"xroadvnpt-hash-header"

#: What comes from others' offices may be short; what is made here is longer.
_SECRET_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class System:
    """A system that may connect. It acts for `prefixes`, agencies and all below them."""

    system_id: str
    secret: bytes = field(repr=False)
    prefixes: tuple[AgencyCode, ...]

    def acts_for(self, code: AgencyCode) -> bool:
        return any(prefix_covers(prefix.value, code) for prefix in self.prefixes)

    def agencies(self, node: NodeApi) -> tuple[AgencyCode, ...]:
        """The agencies that it acts for, of those that `node` serves."""
        return tuple(code for code in node.served_codes if self.acts_for(code))


@dataclass(frozen=True, slots=True)
class Caller:
    """A request's system and its parameters, verified."""

    system: System
    parameters: Parameters


class Systems:
    """The systems of the settings."""

    def __init__(self, systems: Iterable[System]) -> None:
        self._systems = {system.system_id: system for system in systems}
        # For names that are unknown: their answer shall take as long.
        self._nobody = System("", secrets.token_bytes(32), ())

    def __iter__(self) -> Iterable[System]:
        return iter(self._systems.values())

    def verified(self, headers: Sequence[tuple[bytes, bytes]]) -> Caller:
        """Whose request this is; `headers` are its header lines as they came.

        Raises Rejected: `header-missing`, `header-repeated`, `parameters-unreadable`, `parameter-missing`,
        `parameter-conflict`, and `signature-wrong` for an unknown system as for a wrong secret.
        """
        signed, signature = _only(headers, _SIGNED), _only(headers, _SIGNATURE)
        parameters = Parameters.parse(signed)
        system = self._systems.get(parameters.need("systemid"), self._nobody)
        expected = hmac.new(system.secret, signed, hashlib.sha256).hexdigest().encode()
        if not hmac.compare_digest(expected, signature.strip().lower()) or system is self._nobody:
            raise Rejected(
                "signature-wrong",
                "No system that may connect has signed this request.",
                mend="Compare systemId and secret with the node's settings, [adapters.vxp.systems].",
            )
        return Caller(system, parameters)


def read_systems(tables: Mapping[str, SystemSettings]) -> Systems:
    """The systems with their secrets, read from their files. Blocks. Raises what `read_secret` raises."""
    return Systems(
        System(table.system_id, read_secret(table.secret_file, least=_SECRET_BYTES), table.codes)
        for table in tables.values()
    )


def _only(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    found = [value for key, value in headers if key.lower() == name]
    if not found:
        raise Rejected("header-missing", f"The header {name.decode()} is missing.", mend="Sign the request.")
    if len(found) > 1:
        raise Rejected("header-repeated", f"The header {name.decode()} stands {len(found)} times.")
    return found[0]
