"""Enrolment: keys made here, certificates fetched from the hub with a one-time token.

Everything is kept before it is used: a try that breaks off goes on with the same keys and the same requests, to which
the hub gives the same answer, however far it had come.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.enrolment_token import EnrolmentToken
from certs.keys import (
    PrivateKey,
    certificate_request,
    new_p256_key,
    new_rsa_key,
    parse_certificates,
    read_certificates,
    read_key,
    write_certificates,
    write_key,
)
from certs.names import connection_named
from certs.sealing_key import load_sealing_key
from certs.tls import client_context
from node.usecases.identity import NodeIdentity
from runtime.files import make_private_folder, storage_errors, write_file
from schemas.codes import AgencyCode
from schemas.errors import Rejected, Unavailable
from transport.client import fetch_authority, open_hub_client
from transport.wire import EnrolmentAnswer, EnrolmentRequest, decode

_REQUEST_NAME = "congvan node"


class KeyType(StrEnum):
    """The kind of the node's keys: RSA of 2048 bits, which every receiver verifies, or P-256, which is faster."""

    RSA = "rsa"
    P256 = "p256"


@dataclass(frozen=True, slots=True)
class HubAddress:
    """How to reach the hub: its URL, and as in `transport.client.open_hub_client`."""

    url: str
    source_address: str | None = None
    connect_to: str | None = None


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The files of a node's keys, below one folder; `passphrase` encrypts the private ones."""

    folder: Path
    passphrase: bytes | None = field(default=None, repr=False)

    @property
    def tls_key(self) -> Path:
        return self.folder / "tls.key.pem"

    @property
    def tls_request(self) -> Path:
        return self.folder / "tls.request.pem"

    @property
    def tls_chain(self) -> Path:
        return self.folder / "tls.pem"

    @property
    def seal_key(self) -> Path:
        return self.folder / "seal.key.pem"

    @property
    def seal_request(self) -> Path:
        return self.folder / "seal.request.pem"

    @property
    def seal_chain(self) -> Path:
        return self.folder / "seal.pem"

    @property
    def hub_authority(self) -> Path:
        """The hub's authority, root first: the one the token named."""
        return self.folder / "hub-authority.pem"

    @property
    def enrolment(self) -> Path:
        """The hub's answer; written last, so with it the keys are whole."""
        return self.folder / "enrolment.json"


Requests: TypeAlias = tuple[str, str]


async def enrol(files: KeyFiles, token: EnrolmentToken, hub: HubAddress, key_type: KeyType) -> EnrolmentAnswer:
    """Enrol at `hub` and keep all that it gives in `files`; gives its answer.

    Raises TokenRejected (`token-authority`) before anything is made or told, if what answers is not the hub that made
    the token; `key-type` if an earlier try made keys of another kind; what the hub refuses (`token-used`,
    `token-expired`, …); Unavailable if it cannot be reached.
    """
    # 1. Nothing can be trusted yet but the fingerprint in the token: no key is made and no secret told before it fits.
    shown = await fetch_authority(hub.url, source_address=hub.source_address, connect_to=hub.connect_to)
    root = token.require_authority(_certificates_of_hub(shown))
    # 2. The keys and the requests, made once.
    tls_request, seal_request = await asyncio.to_thread(_requests, files, key_type)
    # 3. Over a connection that the root vouches for, the secret.
    async with open_hub_client(
        hub.url, client_context((root,)), source_address=hub.source_address, connect_to=hub.connect_to
    ) as client:
        request = EnrolmentRequest(tls_request=tls_request, seal_request=seal_request)
        answer = await client.enrol(token.secret, request)
    # 4. What came belongs to our keys and to this hub, or is not kept.
    await asyncio.to_thread(_keep, files, token, answer)
    return answer


def open_identity(files: KeyFiles) -> NodeIdentity:
    """Who the node is, from what its enrolment left. Raises KeyRejected, and Rejected (`file-missing`)."""
    with storage_errors(files.enrolment):
        answer = decode(EnrolmentAnswer, files.enrolment.read_bytes())
    return NodeIdentity(
        connection=answer.connection,
        hub=answer.hub.name,
        hub_authority=read_certificates(files.hub_authority),
        seal=load_sealing_key(files.seal_key, files.seal_chain, files.passphrase),
        enrolled_codes=tuple(map(AgencyCode.parse, answer.codes)),
    )


def _requests(files: KeyFiles, key_type: KeyType) -> Requests:
    make_private_folder(files.folder)
    return (
        _request(files.tls_key, files.tls_request, files.passphrase, key_type),
        _request(files.seal_key, files.seal_request, files.passphrase, key_type),
    )


def _request(key_file: Path, request_file: Path, passphrase: bytes | None, key_type: KeyType) -> str:
    key = _key(key_file, passphrase, key_type)
    # An ECDSA signature is another each time: the request is kept, so that it is the same request each time.
    with storage_errors(request_file):
        if not request_file.exists():
            write_file(request_file, certificate_request(key, _REQUEST_NAME, ()))
        return request_file.read_text()


def _key(path: Path, passphrase: bytes | None, key_type: KeyType) -> PrivateKey:
    if not path.exists():
        write_key(path, new_p256_key() if key_type is KeyType.P256 else new_rsa_key(), passphrase)
    key = read_key(path, passphrase)
    made = KeyType.RSA if isinstance(key, rsa.RSAPrivateKey) else KeyType.P256
    if made is not key_type:
        raise Rejected(
            "key-type",
            f"{path}: an earlier try made a key of the type {made}.",
            mend=f"Go on with --key-type {made}, or begin anew in another folder with a new token.",
        )
    return key


def _certificates_of_hub(pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return parse_certificates(pem)
    except Rejected as error:
        raise Unavailable(
            "not-a-hub", "What answered gave no certificates for its authority.", mend="Check the hub's address."
        ) from error


def _keep(files: KeyFiles, token: EnrolmentToken, answer: EnrolmentAnswer) -> None:
    authority = _certificates_of_hub(answer.hub.authority.encode())
    root = token.require_authority(authority)
    tls = _certificates_of_hub(answer.tls_certificates.encode())
    if connection_named(tls[0]) != answer.connection:
        raise Unavailable("hub-answer", "The hub's answer holds a certificate for another connection.")
    write_certificates(files.hub_authority, (root, *(other for other in authority if other != root)))
    write_certificates(files.tls_chain, tls)
    write_certificates(files.seal_chain, _certificates_of_hub(answer.seal_certificates.encode()))
    # Both read back with their keys: a mismatch shows now, not when the first document is sealed.
    load_sealing_key(files.seal_key, files.seal_chain, files.passphrase)
    client_context(authority, files.tls_chain, files.tls_key, files.passphrase)
    write_file(files.enrolment, answer.encode())
