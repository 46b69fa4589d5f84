"""A certificate authority of our own: for development, and for operators who have no other.

One root stands above two issuing authorities: one for TLS, one for what is signed (seals, receipts, the directory).
Each certificate says by its extended key usage what its key is for, and so does the authority above it: a TLS key can
never seal, and a seal key never opens a connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.certificate_profiles import (
    Chain,
    IssuingAuthority,
    agency_names,
    issuing_profile,
    leaf_profile,
    root_profile,
    server_names,
    uri_names,
)
from certs.errors import KeyRejected
from certs.keys import (
    PrivateKey,
    PublicKey,
    accepted_public_key,
    certificates_pem,
    new_p256_key,
    read_certificates,
    read_key,
    read_request,
    write_certificates,
    write_key,
)
from certs.names import DIRECTORY_PURPOSE, RECEIPTS_PURPOSE, SEAL_PURPOSE, common_name, connection_uri, hub_uri
from runtime.files import make_private_folder
from schemas.codes import AgencyCode

_ROOT, _TLS, _SEALS = "root", "tls", "seals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long each kind of certificate is valid. None outlives the authority that issued it."""

    root: timedelta = timedelta(days=20 * 365)
    issuing: timedelta = timedelta(days=10 * 365)
    server: timedelta = timedelta(days=398)
    client: timedelta = timedelta(days=2 * 365)
    seal: timedelta = timedelta(days=3 * 365)
    receipts: timedelta = timedelta(days=3 * 365)
    directory: timedelta = timedelta(days=3 * 365)


@dataclass(frozen=True, slots=True)
class Authority:
    """The root certificate and the two authorities that issue under it.

    Every `issue_…` takes a certificate request (PEM; its own signature and its key are checked) or a public key, and
    gives the chain: leaf, then the issuing authority, without the root. KeyRejected tells what is wrong with a key.
    Serial numbers are random; `now` is when the certificate is made.
    """

    root: x509.Certificate
    tls: IssuingAuthority = field(repr=False)
    seals: IssuingAuthority = field(repr=False)
    lifetimes: Lifetimes = Lifetimes()

    @classmethod
    def create(
        cls,
        directory: Path,
        name: str,
        *,
        now: datetime,
        passphrase: bytes | None = None,
        lifetimes: Lifetimes = Lifetimes(),
    ) -> Self:
        """Make the keys and certificates of the authority `name` (P-256) and put them into `directory`.

        KeyRejected (`key-exists`) if an authority stands there.
        """
        make_private_folder(directory)
        root_key, tls_key, seals_key = new_p256_key(), new_p256_key(), new_p256_key()
        root = root_profile(root_key, name, now=now, lifetime=lifetimes.root)
        above = IssuingAuthority(root, root_key)
        tls = issuing_profile(
            above,
            tls_key.public_key(),
            name=name,
            role="TLS",
            purposes=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
            now=now,
            lifetime=lifetimes.issuing,
        )
        seals = issuing_profile(
            above,
            seals_key.public_key(),
            name=name,
            role="Seals",
            purposes=[SEAL_PURPOSE, RECEIPTS_PURPOSE, DIRECTORY_PURPOSE],
            now=now,
            lifetime=lifetimes.issuing,
        )
        for stem, key, certificate in ((_ROOT, root_key, root), (_TLS, tls_key, tls), (_SEALS, seals_key, seals)):
            write_key(directory / f"{stem}.key", key, passphrase)
            write_certificates(directory / f"{stem}.pem", [certificate])
        return cls(root, IssuingAuthority(tls, tls_key), IssuingAuthority(seals, seals_key), lifetimes)

    @classmethod
    def open(
        cls,
        directory: Path,
        passphrase: bytes | None = None,
        lifetimes: Lifetimes = Lifetimes(),
    ) -> Self:
        """The authority in `directory`. The root's key is not read: issuing needs it not, and it may be kept away."""
        root = _read_pem(directory, _ROOT)
        return cls(
            root, _read_issuing(directory, _TLS, passphrase), _read_issuing(directory, _SEALS, passphrase), lifetimes
        )

    @property
    def chain_pem(self) -> bytes:
        """Root and both issuing authorities in PEM: what others need to check certificates of this authority."""
        return certificates_pem([self.root, self.tls.certificate, self.seals.certificate])

    def issue_server(
        self, key: bytes | PublicKey, names: Sequence[str], now: datetime, *, since: datetime | None = None
    ) -> Chain:
        """A TLS server certificate for DNS names and IP addresses; the first is also its common name."""
        return leaf_profile(
            self.tls,
            _requested_key(key),
            subject=common_name(names[0]),
            names=server_names(names),
            purpose=ExtendedKeyUsageOID.SERVER_AUTH,
            now=now,
            lifetime=self.lifetimes.server,
            since=since,
        )

    def issue_client(self, key: bytes | PublicKey, connection: str, now: datetime) -> Chain:
        """A TLS client certificate that belongs to one connection."""
        return leaf_profile(
            self.tls,
            _requested_key(key),
            subject=common_name(connection),
            names=uri_names([connection_uri(connection)]),
            purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
            now=now,
            lifetime=self.lifetimes.client,
        )

    def issue_push(
        self, key: bytes | PublicKey, hub_name: str, now: datetime, *, since: datetime | None = None
    ) -> Chain:
        """A TLS client certificate by which the hub `hub_name` is known to the nodes that it pushes to."""
        return leaf_profile(
            self.tls,
            _requested_key(key),
            subject=common_name(hub_name, " Push"),
            names=uri_names([hub_uri(hub_name)]),
            purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
            now=now,
            lifetime=self.lifetimes.server,
            since=since,
        )

    def issue_seal(self, key: bytes | PublicKey, connection: str, codes: Sequence[AgencyCode], now: datetime) -> Chain:
        """A certificate whose key seals. `codes` inform people: for whom a key may seal, the directory says."""
        return leaf_profile(
            self.seals,
            _requested_key(key),
            subject=common_name(connection),
            names=agency_names(codes),
            purpose=SEAL_PURPOSE,
            now=now,
            lifetime=self.lifetimes.seal,
        )

    def issue_receipts(
        self, key: bytes | PublicKey, hub_name: str, now: datetime, *, since: datetime | None = None
    ) -> Chain:
        """A certificate whose key signs the receipts of the hub `hub_name`."""
        return self._issue_to_hub(key, hub_name, RECEIPTS_PURPOSE, now, lifetime=self.lifetimes.receipts, since=since)

    def issue_directory(
        self, key: bytes | PublicKey, hub_name: str, now: datetime, *, since: datetime | None = None
    ) -> Chain:
        """A certificate whose key signs the agency directory of the hub `hub_name`."""
        return self._issue_to_hub(key, hub_name, DIRECTORY_PURPOSE, now, lifetime=self.lifetimes.directory, since=since)

    def _issue_to_hub(
        self,
        key: bytes | PublicKey,
        hub_name: str,
        purpose: ObjectIdentifier,
        now: datetime,
        *,
        lifetime: timedelta,
        since: datetime | None,
    ) -> Chain:
        # The root mostly has the hub's name, too, and a verifier takes a leaf of the root's name for the root.
        role = " Receipts" if purpose == RECEIPTS_PURPOSE else " Directory"
        return leaf_profile(
            self.seals,
            _requested_key(key),
            subject=common_name(hub_name, role),
            names=uri_names([hub_uri(hub_name)]),
            purpose=purpose,
            now=now,
            lifetime=lifetime,
            since=since,
        )


def _requested_key(key: bytes | PublicKey) -> PublicKey:
    return accepted_public_key(read_request(key).public_key() if isinstance(key, bytes) else key)


def _read_pem(directory: Path, stem: str) -> x509.Certificate:
    return read_certificates(directory / f"{stem}.pem")[0]


def _read_issuing(directory: Path, stem: str, passphrase: bytes | None) -> IssuingAuthority:
    key: PrivateKey = read_key(directory / f"{stem}.key", passphrase)
    certificate = _read_pem(directory, stem)
    if certificate.public_key() != key.public_key():
        raise KeyRejected(
            "key-mismatch",
            f"{directory / stem}.pem is not the certificate of {directory / stem}.key.",
            mend="Restore both files from the same backup.",
        )
    return IssuingAuthority(certificate, key)
