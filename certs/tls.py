"""TLS between node and hub: versions, ciphers, and whose certificates are taken.

TLS 1.2 and up; below 1.3 only forward secrecy with an AEAD (RFC 9325, sections 3.1.1 and 4.2).
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509

from certs.errors import KeyRejected
from certs.keys import certificates_pem, parse_certificate, read_certificates, read_key
from certs.names import connection_named, hub_named

_TLS_1_2_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(
    chain_path: Path, key_path: Path, passphrase: bytes | None, client_authorities: Sequence[x509.Certificate]
) -> ssl.SSLContext:
    """A hub's context. A client may come without a certificate (to enrol); one that it brings must be under
    `client_authorities`, valid and made for TLS clients, or the handshake fails.

    Raises KeyRejected as `read_key` and `read_certificates` do, `key-mismatch` if the files do not belong together.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_own(context, chain_path, key_path, passphrase)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=certificates_pem(client_authorities).decode())
    return context


def client_context(
    server_authorities: Sequence[x509.Certificate],
    chain_path: Path | None = None,
    key_path: Path | None = None,
    passphrase: bytes | None = None,
) -> ssl.SSLContext:
    """A node's context: the server must be under `server_authorities` and carry the name that was dialled.

    With both paths the node shows its certificate; raises KeyRejected as `server_context` does.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificates_pem(server_authorities).decode())
    if chain_path is not None and key_path is not None:
        _load_own(context, chain_path, key_path, passphrase)
    return context


def listener_context(chain_path: Path, key_path: Path) -> ssl.SSLContext:
    """The context of a listener for software, which shows no certificate of its own.

    Raises KeyRejected as `server_context` does.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    _load_own(context, chain_path, key_path, None)
    return context


def push_server_context(
    chain_path: Path, key_path: Path, passphrase: bytes | None, hub_authorities: Sequence[x509.Certificate]
) -> ssl.SSLContext:
    """A node's context for what its hub pushes: a client must show a certificate under `hub_authorities`.

    Whose it is, `hub_of` says: nodes have certificates under the same authority. Raises as `server_context`.
    """
    context = server_context(chain_path, key_path, passphrase, hub_authorities)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def push_client_context(chain_path: Path, key_path: Path, passphrase: bytes | None) -> ssl.SSLContext:
    """A hub's context for pushing. It takes any certificate: the caller compares the fingerprint, before it speaks.

    A node's certificate is made for TLS clients and names no host, so that OpenSSL has nothing to check it by, but the
    hub knows the one that it let in. Raises as `server_context`.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _load_own(context, chain_path, key_path, passphrase)
    return context


def hub_of(certificate_der: bytes) -> str | None:
    """The hub that a client certificate (DER, as TLS gives it) belongs to; None if it names none."""
    try:
        return hub_named(parse_certificate(certificate_der))
    except KeyRejected:
        return None


def connection_of(certificate_der: bytes) -> str | None:
    """The connection that a client certificate (DER, as TLS gives it) belongs to; None if it names none."""
    try:
        return connection_named(parse_certificate(certificate_der))
    except KeyRejected:
        return None


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS_1_2_CIPHERS)
    # Strict checks of RFC 5280, which Python 3.13 has by default and earlier ones do not.
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_TRUSTED_FIRST
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _load_own(context: ssl.SSLContext, chain_path: Path, key_path: Path, passphrase: bytes | None) -> None:
    # Read by our own readers first: they name the file and the mend, where OpenSSL says "PEM lib".
    read_key(key_path, passphrase)
    read_certificates(chain_path)
    try:
        context.load_cert_chain(chain_path, key_path, password=passphrase)
    except ssl.SSLError as error:
        raise KeyRejected(
            "key-mismatch",
            f"{chain_path} does not begin with the certificate of {key_path}.",
            mend="Put the key's own certificate first, or give the key that belongs to it.",
        ) from error
