"""What a certificate was made for: the rules that keep TLS, seals, receipts and the directory apart.

A usage is stated by the extended key usage of the leaf, and limited by that of the authorities above it. Certificates
for seals may come from other authorities, who know nothing of our usages: theirs may be silent, but never name another
use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography import x509
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.names import DIRECTORY_PURPOSE, RECEIPTS_PURPOSE, SEAL_PURPOSE

TLS_PURPOSES: Final = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH})

#: Purposes that exclude each other on one leaf. What is good for anything is good for TLS too.
_EXCLUSIVE: Final = TLS_PURPOSES | {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    SEAL_PURPOSE,
    RECEIPTS_PURPOSE,
    DIRECTORY_PURPOSE,
}


@dataclass(frozen=True, slots=True)
class Usage:
    """A use that a signer's certificate must be made for. Unless `is_stated`, a leaf may be silent about it."""

    purpose: ObjectIdentifier
    is_stated: bool

    def fault_of_leaf(self, leaf: x509.Certificate) -> str | None:
        """What keeps `leaf` from this use, in words; None if nothing does."""
        constraints = extension(leaf, x509.BasicConstraints)
        if constraints is not None and constraints.ca:
            return "it is the certificate of an authority"
        key_usage = extension(leaf, x509.KeyUsage)
        if key_usage is None or not key_usage.content_commitment:
            return "its key usage does not include contentCommitment (nonRepudiation)"
        purposes = _purposes(leaf)
        if purposes is None:
            return "it does not state its purpose" if self.is_stated else None
        if purposes & (_EXCLUSIVE - {self.purpose}):
            return "its extended key usage is for something else"
        if self.is_stated and self.purpose not in purposes:
            return "its extended key usage does not name this purpose"
        return None

    def admits_authority(self, purposes: x509.ExtendedKeyUsage | None) -> bool:
        """Whether an authority with these extended key usages may stand above a leaf of this use."""
        if purposes is None:
            return True
        named = set(purposes)
        if self.is_stated:
            return self.purpose in named
        return not named <= TLS_PURPOSES


SEALS: Final = Usage(SEAL_PURPOSE, is_stated=False)
RECEIPTS: Final = Usage(RECEIPTS_PURPOSE, is_stated=True)
DIRECTORY: Final = Usage(DIRECTORY_PURPOSE, is_stated=True)

E_co = TypeVar("E_co", bound=x509.ExtensionType, covariant=True)


def extension(certificate: x509.Certificate, kind: type[E_co]) -> E_co | None:
    """The extension of that kind; None if there is none."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _purposes(certificate: x509.Certificate) -> set[ObjectIdentifier] | None:
    found = extension(certificate, x509.ExtendedKeyUsage)
    return None if found is None else set(found)
