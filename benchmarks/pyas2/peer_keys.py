"""Make the keys of both parties: `peer_keys.py FOLDER NAME…`."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID
from peer_parties import PASSPHRASE


def main() -> None:
    folder, *names = sys.argv[1:]
    now = datetime.utcnow()  # noqa: DTZ003 - this release of cryptography takes naive UTC
    for name in names:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .sign(key, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )
        encrypted = BestAvailableEncryption(PASSPHRASE.encode())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encrypted)
        (Path(folder) / f"{name}.pem").write_bytes(certificate + private)
        (Path(folder) / f"{name}.crt").write_bytes(certificate)


if __name__ == "__main__":
    main()
