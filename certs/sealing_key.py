"""A private key together with the certificates that vouch for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from certs.errors import KeyRejected
from certs.keys import PrivateKey, accepted_private_key, fingerprint, read_certificates, read_key
from schemas.envelope import Sha256Hex


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key that signs, and its certificates: leaf first, then those above it, without the root.

    Raises KeyRejected: `key-mismatch` if the first certificate is not the key's, `key-certificate` if there is none.
    """

    private_key: PrivateKey = field(repr=False)
    certificates: tuple[x509.Certificate, ...]

    def __post_init__(self) -> None:
        accepted_private_key(self.private_key)
        if not self.certificates:
            raise KeyRejected("key-certificate", "A key that signs needs its certificate.", mend="Give the chain.")
        if self.certificates[0].public_key() != self.private_key.public_key():
            raise KeyRejected(
                "key-mismatch",
                "The first certificate of the chain is not that of the private key.",
                mend="Put the key's own certificate first, or give the key that belongs to it.",
            )

    @property
    def certificate(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def fingerprint(self) -> Sha256Hex:
        return fingerprint(self.certificate)


def load_sealing_key(key_path: Path, chain_path: Path, passphrase: bytes | None) -> SealingKey:
    """The key in one file and its chain (leaf first) in another; a root at the chain's end is left out.

    Raises KeyRejected as `read_key`, `read_certificates` and `SealingKey` do, naming the files.
    """
    chain = read_certificates(chain_path)
    without_root = chain[:1] + tuple(above for above in chain[1:] if above.issuer != above.subject)
    try:
        return SealingKey(read_key(key_path, passphrase), without_root)
    except KeyRejected as error:
        raise error.located(f"{key_path}, {chain_path}") from error.__cause__
