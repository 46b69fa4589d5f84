"""A value that was signed, together with the bytes that it came in: the only thing that a use case takes.

Only `certs` makes one. Everybody else who calls the class gets a TypeError, so a value cannot be dressed up as verified
by mistake; it is no defence against code that means harm in the same process.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from datetime import datetime
from typing import Generic, TypeVar

from schemas.envelope import Sha256Hex

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_MINT = object()


@dataclass(frozen=True, slots=True)
class Verified(Generic[T_co]):
    """`value` decoded from what the signature covers, and `data`, the bytes exactly as they came.

    `message_id` is the id of the sealed message, or of the message that a receipt speaks of; `signer_fingerprint` the
    SHA-256 of the signer's certificate; `signed_at` the signing time as the signer claims it, UTC.
    """

    value: T_co
    data: bytes
    message_id: Sha256Hex
    signer_fingerprint: Sha256Hex
    signed_at: datetime
    made_by: InitVar[object] = None

    def __post_init__(self, made_by: object) -> None:
        if made_by is not _MINT:
            raise TypeError("a Verified comes from certs alone: unseal the bytes, or verify the receipt")


def verified(
    value: T, *, data: bytes, message_id: Sha256Hex, signer_fingerprint: Sha256Hex, signed_at: datetime
) -> Verified[T]:
    """Vouch for `value`, after every check. For `certs` alone: a test sees that nobody else imports it."""
    return Verified(value, data, message_id, signer_fingerprint, signed_at, made_by=_MINT)
